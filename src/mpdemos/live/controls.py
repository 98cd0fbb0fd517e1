"""The five live controls: what each makes, what its buttons do, and what it says."""

from __future__ import annotations

from queue import Full

from . import workers
from .control import Control


class Lock(Control):
    """Tellers who take turns at a till."""

    kind = "Lock"

    def _begin(self) -> None:
        self.use(till=self.mp.Lock())
        self.add("teller", workers.count_money, 3)

    def _words(self) -> str:
        holders = self.history.holders.get(self.key)
        if not holders:
            return "The till is free."
        return f"The till is held by {self.names(holders)}{self.they_wait('acquire')}."

    def _one_more(self) -> None:
        self.add("teller", workers.count_money)

    def _kill(self) -> None:
        self.kill(self.history.holders.get(self.key, []), "it can never release what it held")

    buttons = (("One more teller", _one_more), ("Kill the holder", _kill))


class Semaphore(Control):
    """Workers who share a few places."""

    kind = "Semaphore"
    settings = (("places", 2, 4), ("workers", 4, 6))

    def _begin(self) -> None:
        self.use(places=self.mp.Semaphore(self.values["places"]))
        self.add("worker", workers.visit, self.values["workers"])

    def _words(self) -> str:
        inside = self.history.holders.get(self.key, [])
        places = f"{self.values['places']} place{'s' if self.values['places'] > 1 else ''}"
        return f"{places}, {len(inside)} inside: {self.names(inside)}{self.they_wait('acquire')}."

    def _release(self) -> None:
        self.thing.release()
        self.told = "One release too many: from now on it lets one more in than there are places."

    def _kill(self) -> None:
        self.kill(self.history.holders.get(self.key, []), "a place that it held is gone for good")

    buttons = (("Release once too often", _release), ("Kill one inside", _kill))


class Event(Control):
    """Walkers who walk while an event is set."""

    kind = "Event"
    _is_set = False

    def _begin(self) -> None:
        self.use(go=self.mp.Event())
        self._is_set = False
        self.add("walker", workers.walk, 3)

    def _words(self) -> str:
        if self._is_set:
            return "go is set: everybody walks."
        return f"go is not set{self.they_wait('set')}."

    def _set(self) -> None:
        # In a thread: set() waits for everybody whom it wakes, for ever if one of them was killed.
        def set_it() -> None:
            self._is_set = True
            self.thing.set()

        self.call_in_a_thread(set_it)

    def _clear(self) -> None:
        def clear_it() -> None:
            self.thing.clear()
            self._is_set = False

        self.call_in_a_thread(clear_it)

    buttons = (("Set", _set), ("Clear", _clear))


class Queue(Control):
    """Cooks who put plates on a shelf, and waiters who carry them away."""

    kind = "Queue"
    settings = (("cooks", 1, 3), ("waiters", 1, 3), ("room", 4, 8))

    def _begin(self) -> None:
        self.use(shelf=self.mp.Queue(self.values["room"]))
        self.thing.cancel_join_thread()  # our plates may never get there, and the kernel must be able to end
        self.add("cook", workers.cook, self.values["cooks"])
        self.add("waiter", workers.carry, self.values["waiters"])

    def _words(self) -> str:
        counts = self.history.counts[self.key].items()
        put, got = (sum(n for (_who, done), n in counts if done == what) for what in ("put", "got"))
        plates, room = min(max(put - got, 0), self.values["room"]), self.values["room"]
        waits = self.they_wait("put", " for room") + self.they_wait("get", " for a plate")
        return f"{plates} of {room} places on the shelf are taken{waits}."

    def _put(self) -> None:
        try:
            self.thing.put(0, block=False)
        except Full:
            self.told = "There was no room for your plate: queue.Full."

    def _one_more(self) -> None:
        self.add("waiter", workers.carry)

    def _kill(self) -> None:
        # One that waits would take the queue's lock along, and no other waiter would ever get a plate.
        idle = self.waiting("get")
        waiters = (who for who, life in self.history.lives.items() if life.name.startswith("waiter"))
        self.kill((who for who in waiters if who not in idle), "a plate that it carried is lost")

    buttons = (("Put a plate", _put), ("One more waiter", _one_more), ("Kill a waiter", _kill))


class Pool(Control):
    """A pool's workers and their tasks."""

    kind = "Pool"
    settings = (("workers", 2, 4),)
    _submitted = 0

    def _begin(self) -> None:
        self.use(crew=self.mp.Pool(self.values["workers"], initializer=workers.hear_interrupts))
        self._submitted = 0

    def _words(self) -> str:
        unfinished = self.history.unfinished
        begun = sum(span.kind == "task" for span in self.history.spans)
        busy = sum(map(self.history.is_alive, unfinished))
        return (
            f"{busy} of {self.values['workers']} workers are busy; tasks: {self._submitted - begun} wait, "
            f"{begun - len(unfinished)} done, {len(unfinished) - busy} lost."
        )

    def _submit(self) -> None:
        for _ in range(4):
            self._submitted += 1
            self.thing.apply_async(workers.nap, (self._submitted,))

    def _kill(self) -> None:
        self.kill(self.history.unfinished, "a task that it had not finished is lost")

    buttons = (("Submit 4 tasks", _submit), ("Kill a busy worker", _kill))
