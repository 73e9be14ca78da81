"""Checks descriptions for Home Assistant with Home Assistant's own schemas.

    check.py DESCRIPTIONS       a JSON object {"topic": ..., "payload": {...}} on each line; exit code 1 if one is refused
    check.py --classes          prints classes.json: what the schemas allow, for the tests that have no Home Assistant

Needs the package `homeassistant`, 2024.12 or later.
"""

import asyncio
import json
import re
import sys
import tempfile

import voluptuous as vol
from homeassistant.components.mqtt import binary_sensor, sensor
from homeassistant.components.mqtt.discovery import TOPIC_MATCHER
from homeassistant.components.mqtt.schemas import (
    DEVICE_DISCOVERY_SCHEMA,
    MQTT_ENTITY_DEVICE_INFO_SCHEMA,
    MQTT_ORIGIN_INFO_SCHEMA,
    SHARED_OPTIONS,
)
from homeassistant.components.sensor.const import (
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
)
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant

PLATFORMS = {"sensor": sensor, "binary_sensor": binary_sensor}


def keys(schema):
    """The keys of the first dictionary in a schema."""
    if isinstance(schema, vol.All):
        return next(found for part in schema.validators if (found := keys(part)))
    if isinstance(schema, vol.Schema) and isinstance(schema.schema, dict):
        return sorted(str(key) for key in schema.schema)
    return None


def base(platform):
    """A platform's schema as discovery uses it, but for its leniency towards unknown keys."""
    return PLATFORMS[platform].DISCOVERY_SCHEMA


def check(topic, payload):
    """Raises what Home Assistant has against a description."""
    prefix, rest = topic.split("/device/", 1)
    assert TOPIC_MATCHER.fullmatch("device/" + rest), f"illegal topic {topic}"
    DEVICE_DISCOVERY_SCHEMA(json.loads(json.dumps(payload)))
    unique = set()
    for name, component in payload["components"].items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", name), f"illegal name {name}"
        config = {option: payload[option] for option in SHARED_OPTIONS if option in payload}
        config |= {"device": payload["device"], "origin": payload["origin"]} | component
        platform = config.pop("platform")
        unknown = set(component) - set(keys(base(platform))) - {"platform"}
        assert not unknown, f"{name}: unknown keys {unknown}"
        valid = base(platform)(json.loads(json.dumps(config)))
        assert valid["unique_id"] not in unique, f"{name}: not unique"
        unique.add(valid["unique_id"])
        device_class, state_class = valid.get("device_class"), valid.get("state_class")
        if platform == "sensor" and device_class and state_class:
            allowed = DEVICE_CLASS_STATE_CLASSES[device_class]
            assert state_class in allowed, f"{name}: {state_class} of {device_class}"
        if platform == "sensor" and device_class in DEVICE_CLASS_UNITS:
            unit = valid.get("unit_of_measurement")
            assert unit in DEVICE_CLASS_UNITS[device_class], f"{name}: {unit} of {device_class}"


def classes():
    """What the schemas allow."""
    def texts(values):
        return sorted(str(value) for value in values if value is not None)

    return {
        "home_assistant": __version__,
        "units": {str(name): texts(units) for name, units in DEVICE_CLASS_UNITS.items()},
        "state_classes": {str(name): texts(of) for name, of in DEVICE_CLASS_STATE_CLASSES.items()},
        "keys": {
            "discovery": keys(DEVICE_DISCOVERY_SCHEMA),
            "device": keys(MQTT_ENTITY_DEVICE_INFO_SCHEMA),
            "origin": keys(MQTT_ORIGIN_INFO_SCHEMA),
        }
        | {platform: keys(base(platform)) for platform in PLATFORMS},
    }


async def main():
    """Templates are checked inside a running Home Assistant only, if an empty one."""
    HomeAssistant(tempfile.gettempdir())
    if sys.argv[1:] == ["--classes"]:
        print(json.dumps(classes(), indent=1, ensure_ascii=False))
        return 0
    descriptions = components = refused = 0
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            description = json.loads(line)
            descriptions += 1
            components += len(description["payload"]["components"])
            try:
                check(description["topic"], description["payload"])
            except (AssertionError, vol.Invalid) as error:
                refused += 1
                print(f"{description['topic']}: {error}")
    print(f"Home Assistant {__version__}: {descriptions} descriptions of {components} entities, {refused} refused")
    return 1 if refused or not descriptions else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
