"""Workers of the lesson "Pipe". Each ``line`` is one end of a pipe; a worker answers, it never prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Lock
from typing import Any

PRICES = {"tea": 4, "cake": 6, "soup": 9}


def clerk(line: Connection) -> None:
    """Answer each item with its price, until the item is None."""
    for item in iter(line.recv, None):
        time.sleep(0.02)  # look it up
        line.send(PRICES[item])


def tell(line: Connection, news: list[Any]) -> None:
    """Send one message after the other."""
    for message in news:
        time.sleep(0.01)  # find it out
        line.send(message)


def receive_all(line: Connection) -> list[Any]:
    """Receive until nobody is left who could send, and return what came."""
    received = []
    while True:
        try:
            received.append(line.recv())
        except EOFError:
            return received


def receive_from_each(lines: dict[str, Connection]) -> dict[str, list[Any]]:
    """Receive from several lines, whichever has news, until each of them has ended."""
    heard: dict[str, list[Any]] = {name: [] for name in lines}
    still_open = dict(lines)
    while still_open:
        ready = wait(still_open.values())
        for name, line in list(still_open.items()):
            if line in ready:
                try:
                    heard[name].append(line.recv())
                except EOFError:
                    del still_open[name]
    return heard


def look_for_end(reader: Connection, writer: Connection | None, line: Connection) -> None:
    """When told to, send whether there is news from the reader: nobody sends any, so that is its end."""
    if writer is not None:
        writer.close()  # one's own copy
    line.recv()
    line.send(reader in wait([reader], timeout=0.5))  # the fork server closes its copies a little later


def child_sees_end(ctx: Any, give_writer: bool) -> bool:
    """Start a child, close all that it got, then ask it whether it sees the end."""
    reader, writer = ctx.Pipe(duplex=False)
    ours, theirs = ctx.Pipe()
    args = (reader, writer if give_writer else None, theirs)
    child = ctx.Process(target=look_for_end, args=args, name="child")
    child.start()
    for end in (reader, writer, theirs):
        end.close()
    ours.send("now look")
    seen: bool = ours.recv()
    child.join()
    return seen


def add_up(prices: list[int], line: Connection) -> int:
    """Return the sum, which gets lost, and send it, which arrives."""
    total = sum(prices)
    line.send(total)
    return total


def talk_first(line: Connection, size: int) -> None:
    """Send a message of ``size`` bytes, then receive one."""
    line.send_bytes(bytes(size))
    line.recv_bytes()


def listen_first(line: Connection, size: int) -> None:
    """Receive a message, then send one of ``size`` bytes."""
    line.recv_bytes()
    line.send_bytes(bytes(size))


def take(line: Connection, turn: Lock, number: int, report: Connection) -> None:
    """Receive ``number`` messages from an end that others read too, in turns; report them."""
    taken = []
    for _ in range(number):
        with turn:
            taken.append(line.recv())
    report.send(taken)


def echo(receive: Callable[[], Any], send: Callable[[Any], None]) -> None:
    """Send back whatever is received, until it is None."""
    for message in iter(receive, None):
        send(message)


def price(item: str, count: int) -> int:
    """Price an order; a ValueError says what is wrong with it."""
    if item not in PRICES:
        raise ValueError(f"we do not sell {item}")
    if count < 1:
        raise ValueError(f"{count} is not a number of things to buy")
    return PRICES[item] * count


def serve(line: Connection) -> None:
    """Answer each order with a record, a wrong one too, until None comes or the customer is gone."""
    try:
        for number, item, count in iter(line.recv, None):
            record = {"number": number, "price": None, "error": None}
            try:
                record["price"] = price(item, count)
            except ValueError as error:
                record["error"] = str(error)
            line.send(record)
    except (EOFError, ConnectionError):
        pass  # the customer is gone
