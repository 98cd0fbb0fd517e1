"""Draw the README's picture, docs/timeline.svg: three tellers who share one till."""

from pathlib import Path

from mpdemos import watch
from mpdemos.workers import lock as bank

if __name__ == "__main__":
    with watch(limit=30) as mp:
        all_here, till, balance = mp.Barrier(3), mp.Lock(), mp.Value("i", 0, lock=False)
        mp.label(till=till)
        tellers = [
            mp.Process(target=bank.deposit, args=(all_here, till, balance, 2), name=f"teller-{i}")
            for i in range(3)
        ]
        for teller in tellers:
            teller.start()
        for teller in tellers:
            teller.join()
    picture = mp.timeline("Three tellers, one till")
    print(picture.save(Path(__file__).parent.parent / "docs" / "timeline.svg").name)
    print(picture)
