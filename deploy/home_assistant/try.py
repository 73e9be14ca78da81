"""Runs Home Assistant and checks, by what it says itself, what it makes of a gateway's meters.

It is set up as a user would, but by its web interface's own requests: a first user, then the integration MQTT. Then meters are named to the
gateway, and Home Assistant's registries and states are read: devices, entities, units, classes, availability, values. Started by try.sh.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import aiohttp
import paho.mqtt.client as mqtt

KEY = "9A25139E3244CC2E391A8EF6B915B697"
NUMBERS = ["32666857", "32666858", "32666859"]
GATEWAY = "706462169"
DEADLINE = 180

# What an OmniPower's entities are to be: unit, device class, state class.
EXPECTED = {
    "energy_import": ("Wh", "energy", "total_increasing"),
    "energy_export": ("Wh", "energy", "total_increasing"),
    "power_import": ("W", "power", "measurement"),
    "power_export": ("W", "power", "measurement"),
    "diagnostic_rssi_dbm": ("dBm", "signal_strength", "measurement"),
    "diagnostic_last_heard": (None, "timestamp", None),
    "diagnostic_readings": (None, None, "total_increasing"),
    "diagnostic_refused": (None, None, "total_increasing"),
    "diagnostic_condition": (None, None, None),
}


class Broker:
    """What is published, and what we publish."""

    def __init__(self, port):
        self.messages = {}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("#")
        self.client.on_message = lambda _, __, message: self.hear(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def hear(self, message):
        self.messages.setdefault(message.topic, []).append(message.payload.decode())

    def last(self, topic):
        payload = self.messages.get(topic, [""])[-1]
        return json.loads(payload) if payload else None

    def ask(self, verb, request):
        self.client.publish(f"omnigate/bridge/request/{verb}", json.dumps(request), qos=1)


class HomeAssistant:
    """A running Home Assistant."""

    def __init__(self, folder, port):
        self.folder, self.url, self.token = folder, f"http://127.0.0.1:{port}", None
        folder.mkdir(exist_ok=True)
        (folder / "configuration.yaml").write_text(
            f"http:\n  server_host: 127.0.0.1\n  server_port: {port}\n"
            "recorder:\nlogger:\n  default: warning\n  logs:\n    homeassistant.components.mqtt: info\n"
        )

    async def start(self):
        log = open(self.folder / "output.log", "ab")
        command = [sys.executable, "-m", "homeassistant", "--config", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.session = aiohttp.ClientSession()
        await wait_for("Home Assistant to answer", self.answers)

    async def answers(self):
        with contextlib.suppress(aiohttp.ClientError):
            async with self.session.get(self.url + "/api/onboarding") as answer:
                return answer.status == 200

    async def stop(self):
        await self.session.close()
        self.process.send_signal(signal.SIGTERM)
        while self.process.poll() is None:
            await asyncio.sleep(0.1)

    async def post(self, path, **how):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.post(self.url + path, headers=headers, **how) as answer:
            assert answer.status < 300, f"{path}: {answer.status} {await answer.text()}"
            return await answer.json()

    async def set_up(self, broker):
        """The first user, and the integration."""
        client = self.url + "/"
        user = {"client_id": client, "name": "a", "username": "a", "password": "omnigate", "language": "en"}
        code = (await self.post("/api/onboarding/users", json=user))["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
        self.refresh = (await self.post("/auth/token", data=grant))["refresh_token"]
        await self.log_in()
        for step in ("core_config", "analytics"):
            await self.post(f"/api/onboarding/{step}", json={})
        flow = await self.post("/api/config/config_entries/flow", json={"handler": "mqtt"})
        done = await self.post(
            f"/api/config/config_entries/flow/{flow['flow_id']}", json={"broker": "127.0.0.1", "port": broker}
        )
        assert done["type"] == "create_entry", done

    async def log_in(self):
        grant = {"grant_type": "refresh_token", "refresh_token": self.refresh, "client_id": self.url + "/"}
        self.token = None
        self.token = (await self.post("/auth/token", data=grant))["access_token"]

    async def command(self, kind, **more):
        """One command of its WebSocket interface."""
        async with self.session.ws_connect(self.url + "/api/websocket", max_msg_size=0) as socket:
            await socket.receive_json()
            await socket.send_json({"type": "auth", "access_token": self.token})
            assert (await socket.receive_json())["type"] == "auth_ok"
            await socket.send_json({"id": 1, "type": kind} | more)
            answer = await socket.receive_json()
            assert answer["success"], answer
            return answer["result"]

    async def meters(self):
        """The meters' devices by number, each with its entities by our names, each with its state."""
        devices = {
            device["id"]: device["serial_number"]
            for device in await self.command("config/device_registry/list")
            if device["manufacturer"] == "KAM"
        }
        states = {state["entity_id"]: state for state in await self.command("get_states")}
        meters = {number: {} for number in devices.values()}
        for entity in await self.command("config/entity_registry/list"):
            if number := devices.get(entity["device_id"]):
                name = entity["unique_id"].removeprefix(f"omnigate_kam_{number}_")
                meters[number][name] = entity | {"now": states.get(entity["entity_id"])}
        return meters

    async def gateway(self):
        states = await self.command("get_states")
        return next((s["state"] for s in states if s["entity_id"].startswith("binary_sensor.omnigate_")), None)


async def wait_for(what, attempt):
    until = time.monotonic() + DEADLINE
    while not (result := await attempt()):
        assert time.monotonic() < until, f"waited {DEADLINE} s in vain for {what}"
        await asyncio.sleep(0.2)
    return result


def is_complete(meters, numbers):
    """Whether these meters are there and all their values are known."""
    return set(meters) == set(numbers) and all(
        set(EXPECTED) <= set(meter) and all(is_known(meter[name]) for name in EXPECTED) for meter in meters.values()
    )


def is_known(entity):
    return entity["now"] and entity["now"]["state"] not in ("unknown", "unavailable")


async def expect_meters(hass, numbers):
    async def attempt():
        meters = await hass.meters()
        return [meters] if is_complete(meters, numbers) else None

    [meters] = await wait_for(f"the meters {numbers} with all values", attempt)
    return meters


def check(meters):
    """What Home Assistant knows of each entity is what was meant."""
    for number, meter in meters.items():
        assert set(meter) == set(EXPECTED), f"{number}: {sorted(set(meter) ^ set(EXPECTED))}"
        for name, (unit, device_class, state_class) in EXPECTED.items():
            attributes = meter[name]["now"]["attributes"]
            found = tuple(attributes.get(key) for key in ("unit_of_measurement", "device_class", "state_class"))
            assert found == (unit, device_class, state_class), f"{number} {name}: {found}"
            category = "diagnostic" if name.startswith("diagnostic_") else None
            assert meter[name]["entity_category"] == category, f"{number} {name}"


async def check_values(hass, broker, numbers):
    """Values are those of the last message, as soon as Home Assistant has it too."""
    for number in numbers:

        async def attempt():
            state = broker.last(f"omnigate/kam_{number}/state")
            meter = (await hass.meters())[number]
            return all(
                float(meter[name]["now"]["state"]) == state["fields"][name]["value"]
                for name in EXPECTED
                if not name.startswith("diagnostic_")
            )

        await wait_for(f"the values of meter {number}", attempt)


async def every_value_is(hass, state):
    async def attempt():
        meters = await hass.meters()
        values = [entity["now"]["state"] for meter in meters.values() for entity in meter.values()]
        return values and all(value == state for value in values)

    await wait_for(f"all to be {state}", attempt)


async def statistics(hass):
    """Energy goes into Home Assistant's statistics only if it has no objection to unit and classes."""
    listed = await hass.command("recorder/list_statistic_ids", statistic_type="sum")
    issues = await hass.command("recorder/validate_statistics")
    return sorted(one["statistic_id"] for one in listed), issues


async def run(options):
    folder = pathlib.Path(options.folder)
    broker = Broker(options.broker)
    hass = HomeAssistant(folder / "home_assistant", options.port)
    said = lambda text: print(f"  {text}", flush=True)
    await hass.start()
    try:
        await hass.set_up(options.broker)
        entry = lambda number: {"deviceId": number, "manufacturerKey": "kam", "encryptionKey": KEY}
        broker.ask("meters/set", {"meters": [entry(number) for number in NUMBERS]})
        meters = await expect_meters(hass, NUMBERS)
        check(meters)
        said(f"{len(meters)} meters appear by themselves, each with {len(EXPECTED)} entities: names, units and classes as meant")
        for name, entity in sorted(meters[NUMBERS[0]].items()):
            now, attributes = entity["now"]["state"], entity["now"]["attributes"]
            said(f"    {entity['entity_id']} = {now} {attributes.get('unit_of_measurement', '')}")
        await check_values(hass, broker, NUMBERS)
        said("their values are those of the last telegrams")
        assert await hass.gateway() == "on"

        ids, issues = await statistics(hass)
        assert not issues, issues
        said(f"no objection to its statistics; sums are kept of {len(ids)} entities so far")

        broker.ask("meters/remove", {"meters": [{"manufacturer": "KAM", "id": NUMBERS[2]}]})
        await expect_meters(hass, NUMBERS[:2])
        said("a meter that is removed disappears")

        described = f"homeassistant/device/omnigate_kam_{NUMBERS[0]}/config"
        before = len(broker.messages[described])
        await hass.stop()
        await hass.start()
        await hass.log_in()
        await expect_meters(hass, NUMBERS[:2])
        await check_values(hass, broker, NUMBERS[:2])

        async def again():
            return len(broker.messages[described]) > before

        await wait_for("the descriptions after the birth message", again)
        said("after a restart of Home Assistant all is described again and known again")

        settings = folder / "omnigate.toml"
        text = settings.read_text()
        settings.write_text(text.replace("[home_assistant]\nenabled = true", "[home_assistant]\nenabled = false"))
        os.kill(options.gateway, signal.SIGHUP)
        await expect_meters(hass, [])
        said("switched off, it disappears")
        settings.write_text(text)
        os.kill(options.gateway, signal.SIGHUP)
        await expect_meters(hass, NUMBERS[:2])
        said("switched on, it is back")

        os.kill(options.gateway, signal.SIGKILL)
        await every_value_is(hass, "unavailable")
        assert await hass.gateway() == "off"
        said("killed, every value is unavailable, and the gateway disconnected")
        log = (hass.folder / "output.log").read_text()
        complaints = [line for line in log.splitlines() if "omnigate" in line and ("WARNING" in line or "ERROR" in line)]
        assert not complaints, "\n".join(complaints)
        said("Home Assistant's log has no complaint")
    finally:
        await hass.stop()


def main():
    parser = argparse.ArgumentParser()
    for option in ("--broker", "--port", "--gateway"):
        parser.add_argument(option, type=int, required=True)
    parser.add_argument("--folder", required=True)
    from homeassistant.const import __version__

    print(f"Home Assistant {__version__}:")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
