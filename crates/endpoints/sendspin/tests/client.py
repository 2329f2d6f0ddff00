"""A Sendspin client without an output, on the library that players are made of (aiosendspin).

    client.py (dial URL | serve PORT) [--unpaired] [--code | --static CODE] [--token] [--suite aes] [--roles a,b]

Says what happens as one JSON object a line; a line "window" on its input opens a pairing window, "end" ends it, "leave"
leaves the group, "volume N" turns the knob.
"""
import argparse, asyncio, hashlib, json, sys
from aiohttp import web
from aiosendspin.client import ClientListener, PairingSupport, SendspinClient
from aiosendspin.models.player import ClientHelloPlayerSupport, SupportedAudioFormat
from aiosendspin.models.types import AudioCodec, PlayerCommand, Roles
from aiosendspin.noise import Identity, psk_id_for
from aiosendspin.noise.pairing_token import PSKPairingToken, encode_psk_token
from aiosendspin.noise.session import NoiseCipherSuite
from aiosendspin.noise.trust_store import ClientPairingConfig, InMemoryClientPairingStore, PairingPsk


def say(**what):
    print(json.dumps(what), flush=True)


import logging, os
logging.basicConfig(level=os.environ.get("LOG", "WARNING"), stream=sys.stderr)


async def main():
    args = argparse.ArgumentParser()
    args.add_argument("way", choices=["dial", "serve"])
    args.add_argument("where")
    args.add_argument("--unpaired", action="store_true")
    args.add_argument("--code", action="store_true")
    args.add_argument("--static")
    args.add_argument("--suite", default="chacha")
    args.add_argument("--seed", default="seed")
    args = args.parse_args()

    store = InMemoryClientPairingStore()
    config = ClientPairingConfig(
        dynamic_pairing_code_enabled=args.code,
        static_pairing_code_enabled=args.static is not None,
        unpaired_access_enabled=args.unpaired,
    )
    await store.store_pairing_config(config)
    if args.static:
        await store.set_static_pairing_code(args.static)
    psk = hashlib.sha256(b"token" + args.seed.encode()).digest()
    await store.set_pairing_psk(PairingPsk(psk_id_for(psk), psk))
    identity = Identity.from_private_bytes(hashlib.sha256(args.seed.encode()).digest())

    async def show(code, *, grouped=None):
        say(event="code", code=code)

    async def gesture(wanted):
        say(event="gesture", wanted=wanted)

    support = None
    if args.code:
        support = PairingSupport(pairing_code_display=show, offer_static_pairing_code=False)
    elif args.static:
        support = PairingSupport(gesture_prompt=gesture)
    formats = [SupportedAudioFormat(codec=AudioCodec.PCM, channels=2, sample_rate=44100, bit_depth=16)]
    client = SendspinClient(
        identity=identity,
        client_name="Real",
        roles=[Roles.PLAYER],
        pairing_store=store,
        pairing_support=support,
        player_support=ClientHelloPlayerSupport(supported_formats=formats, buffer_capacity=2_000_000),
        state_supported_commands=[PlayerCommand.VOLUME, PlayerCommand.MUTE],
        cipher_suite=NoiseCipherSuite("25519_AESGCM_SHA256" if args.suite == "aes" else "25519_ChaChaPoly_SHA256"),
    )
    heard = {"chunks": 0, "bytes": 0, "hash": hashlib.sha256(), "next": None, "gaps": 0, "first": None}

    def chunk(timestamp, data, fmt, ahead):
        heard["chunks"] += 1
        heard["bytes"] += len(data)
        heard["hash"].update(data)
        if heard["first"] is None:
            heard["first"] = timestamp
        # Timestamps are contiguous to the sample, up to the microsecond they are written in.
        if heard["next"] is not None and abs(heard["next"] - timestamp) > 1:
            heard["gaps"] += 1
        heard["next"] = heard["first"] + heard["bytes"] // 4 * 1_000_000 // 44_100

    client.add_audio_chunk_listener(chunk)
    client.add_stream_start_listener(lambda m: say(event="start"))
    client.add_stream_end_listener(lambda r: say(event="end"))
    client.add_group_update_listener(lambda p: say(event="group", state=p.playback_state.value if p.playback_state else None))
    client.add_disconnect_listener(lambda: say(event="disconnected"))
    client.add_pairing_abort_listener(lambda r: say(event="abort", reason=r.value))
    client.add_server_command_listener(lambda p: say(event="command", volume=p.player.volume, mute=p.player.mute))
    say(event="id", id=identity.peer_id)
    say(event="token", token=encode_psk_token(PSKPairingToken(identity.peer_id, psk)))

    if args.way == "serve":
        async def arrived(ws: web.WebSocketResponse):
            say(event="called")
            await client.attach_websocket(ws)
        listener = ClientListener(identity.peer_id, arrived, port=int(args.where), host="127.0.0.1",
                                  advertise_mdns=False)
        await listener.start()
    else:
        async def dial():
            while True:
                try:
                    gone = asyncio.Event()
                    undo = client.add_disconnect_listener(gone.set)
                    await client.connect(args.where)
                    say(event="connected")
                    await gone.wait()
                    undo()
                except Exception as error:
                    say(event="failed", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.3)
        asyncio.create_task(dial())

    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().split():
        match line:
            case ["window"]:
                client.open_pairing_window()
            case ["leave"]:
                await client.send_leave()
            case ["volume", level]:
                await client.send_player_state(volume=int(level), muted=False)
            case ["heard"]:
                say(event="heard", chunks=heard["chunks"], bytes=heard["bytes"], gaps=heard["gaps"], sha=heard["hash"].hexdigest())
            case ["end"]:
                break
    await client.disconnect()


asyncio.run(main())
