"""A charge point made of the Python package `ocpp` (mobilityhouse) 2.1.0: one charging session, each answer as a JSON line.

usage: charge_point.py URL STATION v201|v21 ROOT_PEM CHAIN_PEM KEY_PEM
CONTRACT (PEM file) and EMAID in the environment: also authorise this contract, and another id with its chain.
"""

import asyncio
import json
import os
import ssl
import sys

import ocpp.v201
import ocpp.v21
import websockets
from ocpp.routing import on

URL, STATION, VERSION, ROOT, CHAIN, KEY = sys.argv[1:7]
PACKAGE = {"v201": ocpp.v201, "v21": ocpp.v21}[VERSION]
call, call_result = PACKAGE.call, PACKAGE.call_result
TOKEN = {"id_token": "PY-CARD-1", "type": "ISO14443"}


def say(name, **facts):
    print(json.dumps({"step": name, **facts}, default=str), flush=True)


class ChargePoint(PACKAGE.ChargePoint):
    def __init__(self, *args):
        super().__init__(*args)
        self.profile = asyncio.get_event_loop().create_future()
        self.stop = asyncio.get_event_loop().create_future()

    @on("SetChargingProfile")
    async def on_set_charging_profile(self, evse_id, charging_profile, **_):
        self.profile.set_result(charging_profile)
        return call_result.SetChargingProfile(status="Accepted")

    @on("RequestStopTransaction")
    async def on_request_stop_transaction(self, transaction_id, **_):
        self.stop.set_result(transaction_id)
        return call_result.RequestStopTransaction(status="Accepted")

    @on("GetVariables")
    async def on_get_variables(self, get_variable_data, **_):
        answers = [
            {"attribute_status": "Accepted", "attribute_value": "42", "component": asked["component"],
             "variable": asked["variable"]}
            for asked in get_variable_data
        ]
        return call_result.GetVariables(get_variable_result=answers)

    async def transaction(self, kind, seq_no, minute, imported, exported, trigger, **more):
        time = f"2026-11-21T11:{minute:02}:00Z"
        values = [
            {"value": imported, "measurand": "Energy.Active.Import.Register", "unit_of_measure": {"unit": "kWh"}},
            {"value": exported, "measurand": "Energy.Active.Export.Register"},
            {"value": 11000.0, "measurand": "Power.Active.Import"},
        ]
        return await self.call(call.TransactionEvent(
            event_type=kind, timestamp=time, trigger_reason=trigger, seq_no=seq_no,
            transaction_info={"transaction_id": f"py-{VERSION}", "charging_state": "Charging"},
            meter_value=[{"timestamp": time, "sampled_value": values}],
            evse={"id": 1, "connector_id": 1}, **more,
        ))


async def session(point):
    boot = await point.call(call.BootNotification(
        charging_station={"model": "mobilityhouse", "vendor_name": "ocpp"}, reason="PowerUp"))
    say("boot", status=boot.status, interval=boot.interval)
    await point.call(call.StatusNotification(
        timestamp="2026-11-21T11:00:00Z", connector_status="Occupied", evse_id=1, connector_id=1))
    await point.call(call.Heartbeat())
    answer = await point.call(call.Authorize(id_token=TOKEN))
    say("authorize", status=answer.id_token_info["status"])
    answer = await point.call(call.Authorize(id_token={"id_token": "STRANGER", "type": "ISO14443"}))
    say("stranger", status=answer.id_token_info["status"])
    if "CONTRACT" in os.environ:
        with open(os.environ["CONTRACT"], encoding="ascii") as file:
            chain = file.read()
        emaid = os.environ["EMAID"]
        cases = {"contract": (emaid, chain), "stolen": ("DEXXXC00000000", chain), "bare": (emaid, None),
                 "broken": (emaid, chain.replace("A", "B", 40))}
        for name, (claimed, certificate) in cases.items():
            more = {} if certificate is None else {"certificate": certificate}
            answer = await point.call(call.Authorize(id_token={"id_token": claimed, "type": "eMAID"}, **more))
            say(name, status=answer.id_token_info["status"], certificate=answer.certificate_status)
    started = await point.transaction("Started", 0, 0, 100.0, 50000, "Authorized", id_token=TOKEN)
    say("started", status=started.id_token_info["status"])
    profile = await asyncio.wait_for(point.profile, 30)
    say("profile", period=profile["charging_schedule"][0]["charging_schedule_period"][0])
    await point.transaction("Updated", 1, 30, 112.5, 50000, "MeterValuePeriodic")
    say("stop", transaction=await asyncio.wait_for(point.stop, 30))
    for step in ("ended", "ended again"):
        ended = await point.transaction("Ended", 2, 59, 112.5, 53250, "RemoteStop")
        say(step, cost=ended.total_cost)
    await asyncio.sleep(0.2)


async def main():
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ROOT)
    if CHAIN != "-":
        context.load_cert_chain(CHAIN, KEY)
    protocol = {"v201": "ocpp2.0.1", "v21": "ocpp2.1"}[VERSION]
    try:
        async with websockets.connect(f"{URL}/{STATION}", subprotocols=[protocol], ssl=context) as socket:
            say("connected", protocol=socket.subprotocol)
            point = ChargePoint(STATION, socket)
            reading = asyncio.ensure_future(point.start())
            await session(point)
            reading.cancel()
    except websockets.exceptions.InvalidStatus as refused:
        say("refused", status=refused.response.status_code)
    except (ssl.SSLError, OSError, websockets.exceptions.WebSocketException) as refused:
        say("refused", error=type(refused).__name__)


asyncio.run(main())
