"""Sendspin clients of the reference library (aiosendspin) that hear nothing: for benches, many in one process.

Each listens at a port of its own, admits everybody, takes one format and throws the sound away. "ready" is said once
all of them listen; a line "count" on stdin is answered by how many chunks each has had.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import replace

from aiosendspin.client import SendspinClient
from aiosendspin.client.listener import ClientListener
from aiosendspin.models.player import ClientHelloPlayerSupport, SupportedAudioFormat
from aiosendspin.models.types import AudioCodec, PlayerCommand, Roles
from aiosendspin.noise.session import NoiseCipherSuite
from aiosendspin.noise.keys import Identity
from aiosendspin.noise.trust_store import InMemoryClientPairingStore


async def null(port, codec, suite, chunks):
    identity = Identity.generate()
    store = InMemoryClientPairingStore()
    config = await store.get_pairing_config()
    await store.store_pairing_config(replace(config, unpaired_access_enabled=True))
    spoken = SupportedAudioFormat(codec=codec, channels=2, sample_rate=44100, bit_depth=16)

    def chunk(*_):
        chunks[port] += 1

    async def serve(websocket):
        client = SendspinClient(
            identity=identity,
            client_name=f"Null {port}",
            roles=[Roles.PLAYER],
            pairing_store=store,
            player_support=ClientHelloPlayerSupport(supported_formats=[spoken], buffer_capacity=500_000),
            state_supported_commands=[PlayerCommand.VOLUME, PlayerCommand.MUTE],
            cipher_suite=suite,
        )
        client.add_audio_chunk_listener(chunk)
        await client.attach_websocket(websocket)

    listener = ClientListener(
        client_id=identity.peer_id, on_connection=serve, port=port, host="127.0.0.1", advertise_mdns=False
    )
    await listener.start()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--codec", default="pcm")
    parser.add_argument("--suite", default="CHACHAPOLY")
    args = parser.parse_args()
    chunks = dict.fromkeys(range(args.first, args.first + args.count), 0)
    for port in chunks:
        await null(port, AudioCodec(args.codec), NoiseCipherSuite[args.suite], chunks)
    print(json.dumps({"event": "ready"}), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps({"event": "chunks", "chunks": list(chunks.values())}), flush=True)


asyncio.run(main())
