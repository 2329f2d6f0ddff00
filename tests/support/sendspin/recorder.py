"""A Sendspin client of the reference library (aiosendspin) that puts down what it is sent.

Driven by the tests: commands come by stdin, a word and its arguments a line; what happened goes to stdout, a JSON object
a line. Sound goes to a file, decoded: for every chunk a little-endian header (timestamp i64, send_ahead u32, arrival in
the server's time i64, frames u32, bytes a frame u32), then its PCM. Only the library's public interface is used.
"""

import argparse
import asyncio
import json
import struct
import sys
from dataclasses import replace

from aiosendspin.client import SendspinClient
from aiosendspin.client.listener import ClientListener
from aiosendspin.models.artwork import ArtworkChannel
from aiosendspin.models.player import ClientHelloPlayerSupport, SupportedAudioFormat
from aiosendspin.models.types import (
    ArtworkSource,
    AudioCodec,
    MediaCommand,
    PictureFormat,
    PlayerCommand,
    Roles,
)
from aiosendspin.models.visualizer import ClientHelloVisualizerSupport, VisualizerStatePayload
from aiosendspin.noise.keys import Identity
from aiosendspin.noise.trust_store import InMemoryClientPairingStore
from sendspin.decoder import FlacDecoder
from sendspin.discovery import ServiceDiscovery

HEADER = struct.Struct("<qIqII")


def tell(event, **more):
    print(json.dumps({"event": event, **more}, default=str), flush=True)


def audio_format(text):
    codec, rate, bits = text.split(":")
    return SupportedAudioFormat(
        codec=AudioCodec(codec), channels=2, sample_rate=int(rate), bit_depth=int(bits)
    )


class Recorder:
    def __init__(self, args, store):
        self.args = args
        self.out = open(args.out, "ab", buffering=0) if args.out else None
        self.volume, self.muted = args.volume, False
        self.format = self.decoder = None
        everything = [Roles.PLAYER, Roles.CONTROLLER, Roles.METADATA, Roles.ARTWORK, Roles.VISUALIZER]
        self.client = SendspinClient(
            identity=args.identity,
            client_name=args.name,
            roles=[Roles.PLAYER] if args.only_player else everything,
            pairing_store=store,
            player_support=ClientHelloPlayerSupport(
                supported_formats=args.formats, buffer_capacity=args.buffer
            ),
            artwork_channels=None
            if args.only_player
            else [
                ArtworkChannel(
                    source=ArtworkSource.ALBUM, format=PictureFormat.PNG, width=300, height=200
                )
            ],
            visualizer_support=None
            if args.only_player
            else ClientHelloVisualizerSupport(buffer_capacity=65536),
            visualizer_state=None
            if args.only_player
            else VisualizerStatePayload(types=["loudness"], rate_max=20),
            state_supported_commands=[]
            if args.no_commands
            else [PlayerCommand.VOLUME, PlayerCommand.MUTE, PlayerCommand.SET_OUTPUT_DELAY],
            initial_volume=args.volume,
        )
        client = self.client
        client.add_audio_chunk_listener(self.chunk)
        client.add_stream_start_listener(lambda start: tell("start", payload=start.payload.to_dict()))
        client.add_stream_end_listener(lambda roles: tell("end", roles=roles))
        client.add_stream_clear_listener(lambda roles: tell("clear", roles=roles))
        client.add_group_update_listener(lambda group: tell("group", payload=group.to_dict()))
        client.add_metadata_listener(lambda state: tell("metadata", payload=self.part(state, "metadata")))
        client.add_controller_state_listener(
            lambda state: tell("controller", payload=self.part(state, "controller"))
        )
        client.add_artwork_listener(lambda channel, file: tell("artwork", channel=channel, bytes=len(file)))
        client.add_visualizer_listener(
            lambda frames: [tell("loudness", value=frame.loudness) for frame in frames]
        )
        client.add_server_command_listener(self.command)
        client.add_output_delay_listener(lambda millis: tell("delay", millis=millis))
        self.gone = asyncio.Event()
        client.add_disconnect_listener(self.gone.set)

    @staticmethod
    def part(state, name):
        part = getattr(state, name, None) if state else None
        return part.to_dict() if part else None

    def command(self, payload):
        player = payload.player
        if player is None:
            return
        if player.volume is not None:
            self.volume = player.volume
        if player.mute is not None:
            self.muted = player.mute
        tell("command", payload=player.to_dict())
        if player.output_delay_ms is None:
            self.reporting = asyncio.ensure_future(self.report())

    async def report(self, available=True):
        await self.client.send_player_state(available=available, volume=self.volume, muted=self.muted)

    def chunk(self, timestamp, data, audio, send_ahead):
        arrival = self.client.compute_server_time(self.client.now_us())
        if audio != self.format:
            self.format = audio
            self.decoder = FlacDecoder(audio) if audio.codec is AudioCodec.FLAC else None
            tell("format", codec=audio.codec.value, rate=audio.pcm_format.sample_rate,
                 bits=audio.pcm_format.bit_depth)
        pcm = bytes(self.decoder.decode(bytes(data))) if self.decoder else bytes(data)
        size = audio.pcm_format.bit_depth // 8 * audio.pcm_format.channels
        if self.out:
            self.out.write(HEADER.pack(timestamp, send_ahead, arrival, len(pcm) // size, size) + pcm)

    async def obey(self, line):
        word, *rest = line.split()
        client = self.client
        if word == "volume":
            self.volume = int(rest[0])
            await self.report()
        elif word == "mute":
            self.muted = rest[0] == "on"
            await self.report()
        elif word == "available":
            await self.report(available=rest[0] == "yes")
        elif word == "leave":
            await client.send_leave()
        elif word == "delay":
            client.set_output_delay_ms(float(rest[0]))
            await self.report()
        elif word == "format":
            await client.set_preferred_format(audio_format(rest[0]))
        elif word == "press":
            extra = {}
            if rest[0] == "volume":
                extra["volume"] = int(rest[1])
            if rest[0] == "mute":
                extra["mute"] = rest[1] == "on"
            await client.send_group_command(MediaCommand(rest[0]), **extra)
        elif word == "quit":
            await client.disconnect()
            sys.exit(0)
        else:
            tell("misunderstood", line=line)


async def commands(current):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        try:
            await current["recorder"].obey(line)
            tell("done", line=line)
        except Exception as error:
            tell("failed", line=line, why=repr(error))


async def server():
    """Where the first server is that announces itself."""
    discovery = ServiceDiscovery()
    await discovery.start()
    try:
        found = await discovery.wait_for_server()
    finally:
        await discovery.stop()
    tell("found", name=found.name, url=found.url)
    return found.url


async def main(args):
    store = InMemoryClientPairingStore()
    config = await store.get_pairing_config()
    await store.store_pairing_config(replace(config, unpaired_access_enabled=not args.closed))
    current = {}

    async def serve(websocket):
        current["recorder"] = recorder = Recorder(args, store)
        tell("dialled")
        await recorder.client.attach_websocket(websocket)
        tell("gone")

    tell("id", id=args.identity.peer_id)
    # Kept, or it would be collected while it waits.
    current["commands"] = asyncio.ensure_future(commands(current))
    if args.listen:
        listener = ClientListener(
            client_id=args.identity.peer_id,
            client_name=args.name,
            on_connection=serve,
            port=args.listen,
            advertise_mdns=not args.silent,
        )
        await listener.start()
        tell("listening", port=args.listen)
        await asyncio.Event().wait()
    while True:
        try:
            url = await server() if args.find else args.url
            current["recorder"] = recorder = Recorder(args, store)
            await recorder.client.connect(url)
            tell("connected")
            await recorder.gone.wait()
            tell("gone")
        except Exception as error:
            tell("refused", why=repr(error))
        await asyncio.sleep(0.5)


def parsed():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="Recorder")
    parser.add_argument("--url", help="dial this server")
    parser.add_argument("--find", action="store_true", help="dial the server that is announced")
    parser.add_argument("--listen", type=int, help="be dialled at this port")
    parser.add_argument("--silent", action="store_true", help="do not announce the port")
    parser.add_argument("--out", help="where sound goes")
    parser.add_argument("--formats", default="pcm:44100:16", help="codec:rate:bits, best first")
    parser.add_argument("--buffer", type=int, default=32_000_000)
    parser.add_argument("--volume", type=int, default=60)
    parser.add_argument("--no-commands", action="store_true")
    parser.add_argument("--only-player", action="store_true")
    parser.add_argument("--closed", action="store_true", help="admit nobody unpaired")
    parser.add_argument("--key", help="private key, 64 hexadecimal digits; else a new one")
    args = parser.parse_args()
    args.formats = [audio_format(text) for text in args.formats.split(",")]
    key = args.key
    args.identity = Identity.from_private_bytes(bytes.fromhex(key)) if key else Identity.generate()
    return args


if __name__ == "__main__":
    asyncio.run(main(parsed()))
