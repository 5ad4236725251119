"""Stands between tasks and makes their network worse: every piece of bytes comes late, now and then
nothing comes for a while, and connections are closed in mid-sentence.

    relay.py SEED 10.77.1.2:2222=10.77.2.2:2222 …     listens on the left, calls the right

Runs until it is killed. Says what it did, a line each.
"""

import asyncio
import random
import sys

PIECE_BYTES = 16384
MOST_DELAY_S = 0.002
STALL_CHANCE, STALL_S = 0.005, 0.3
CONNECTION_LIVES_S = (1, 5)


class Relay:
    def __init__(self, seed, target):
        self.random = random.Random(seed)
        self.host, self.port = target.rsplit(":", 1)

    async def copy(self, reader, writer):
        while piece := await reader.read(PIECE_BYTES):
            delay = self.random.uniform(0, MOST_DELAY_S)
            if self.random.random() < STALL_CHANCE:
                print("stalled", flush=True)
                delay = STALL_S
            await asyncio.sleep(delay)
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def serve(self, reader, writer):
        try:
            their_reader, their_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.close()
            return
        copies = asyncio.gather(self.copy(reader, their_writer), self.copy(their_reader, writer),
                                return_exceptions=True)
        try:
            await asyncio.wait_for(copies, self.random.uniform(*CONNECTION_LIVES_S))
        except asyncio.TimeoutError:
            print("closed a connection", flush=True)
        for one in [writer, their_writer]:
            one.transport.abort()


async def run(seed, pairs):
    for number, pair in enumerate(pairs):
        listen, target = pair.split("=")
        host, port = listen.rsplit(":", 1)
        await asyncio.start_server(Relay(f"{seed} {number}", target).serve, host, int(port))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2:]))
