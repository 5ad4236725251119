"""Stands between network namespaces and spoils what goes through it, packet by packet: some are
lost, some come twice, some come late and so behind those that were sent after them.

    packet_relay.py SEED NAMESPACE=10.78.2.1 …

Makes a device "relay" in each namespace; who started it gives the device the address and brings it
up. Runs until it is killed. Says what it did, a line each.
"""

import asyncio
import ctypes
import fcntl
import os
import random
import socket
import struct
import sys

LOST, TWICE, LATE = 0.005, 0.01, 0.03  # of all packets
MOST_DELAY_S = 0.01
PACKET_BYTES = 65536

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
DESTINATION = slice(16, 20)  # of an IPv4 header

LIBC = ctypes.CDLL(None, use_errno=True)


def open_device(namespace):
    """Packets come whole and with their checksums: a device without offers of the kind."""
    with open(f"/run/netns/{namespace}") as place:
        if LIBC.setns(place.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"enter {namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"relay", IFF_TUN | IFF_NO_PI))
    return device


class PacketRelay:
    def __init__(self, seed, devices):
        self.random = random.Random(seed)
        self.devices = devices  # {address: file}
        self.loop = asyncio.get_running_loop()
        for device in devices.values():
            self.loop.add_reader(device, self.take, device)

    def take(self, device):
        packet = os.read(device, PACKET_BYTES)
        target = self.devices.get(packet[DESTINATION])
        if target is None:
            return
        die = self.random.random()
        if die < LOST:
            print("lost", flush=True)
            return
        if die < LOST + TWICE:
            print("twice", flush=True)
            self.give(target, packet)
        elif die < LOST + TWICE + LATE:
            print("late", flush=True)
            delay = self.random.uniform(0, MOST_DELAY_S)
            self.loop.call_later(delay, self.give, target, packet)
            return
        self.give(target, packet)

    @staticmethod
    def give(target, packet):
        try:
            os.write(target, packet)
        except OSError:
            pass  # the device is not up, or its queue is full: lost


async def run(seed, pairs):
    devices = {}
    for pair in pairs:
        namespace, address = pair.split("=")
        devices[socket.inet_aton(address)] = open_device(namespace)
    PacketRelay(seed, devices)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2:]))
