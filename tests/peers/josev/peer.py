"""Josev (PyPI iso15118 0.31.2) as a foreign car or station under test control.

Usage: peer.py secc|evcc SETTINGS.json

The protocol stack is used as published. Around it this wrapper
 - warms the EXI grammars before any socket opens: a cold codec needs seconds for the first message of each
   namespace, and the car side gives up after two,
 - stretches the stack's own message timeouts by "tscale", because the codec costs tens of milliseconds a message,
 - lets the simulated power stage follow the voltage the car asks for (as published it stands at 1 V, so that no
   honest car can finish its pre-charge),
 - writes TLS secrets to "key_log" in the NSS format,
 - reports what happens as lines "PEER {json}" on standard output and ends the process when the session is over;
   as published the car stays alive for ever after a failed handshake or an unanswered discovery.
"""

import asyncio
import enum
import importlib
import json
import os
import resource
import sys
import time
import types

ROLE, SETTINGS = sys.argv[1], json.load(open(sys.argv[2]))
os.environ.update(
    {
        "PKI_PATH": SETTINGS["pki"].rstrip("/") + "/",
        "NETWORK_INTERFACE": SETTINGS["interface"],
        "LOG_LEVEL": SETTINGS.get("log_level", "INFO"),
        "MESSAGE_LOG_JSON": "False",
        "MESSAGE_LOG_EXI": str(bool(SETTINGS.get("log_exi", False))),
        "ENABLE_TLS_1_3": str(bool(SETTINGS.get("tls13", False))),
        "PROTOCOLS": ",".join(SETTINGS["protocols"]),
        "AUTH_MODES": ",".join(SETTINGS.get("auth", ["EIM"])),
        "SECC_ENFORCE_TLS": str(bool(SETTINGS.get("enforce_tls", False))),
        "FREE_CHARGING_SERVICE": "False",
        "USE_CPO_BACKEND": "False",
        "ALLOW_CERT_INSTALL_SERVICE": "True",
    }
)

# The imports read the environment, hence below it.
from iso15118.shared import comm_session as sessions  # noqa: E402
from iso15118.shared import exi_codec  # noqa: E402
from iso15118.shared.exceptions import SDPFailedError  # noqa: E402
from iso15118.shared.exificient_exi_codec import ExificientEXICodec  # noqa: E402
from iso15118.shared.messages.enums import Namespace  # noqa: E402

START = time.monotonic()
TSCALE = float(SETTINGS.get("tscale", 1))


def report(event, **fields):
    fields = {"t": round(time.monotonic() - START, 4), "event": event, **fields}
    print("PEER " + json.dumps(fields, default=str), flush=True)


CODEC = None


def usage():
    """CPU seconds and peak memory of this process and of its codec's JVM."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    out = {"python_cpu_s": round(own.ru_utime + own.ru_stime, 3), "python_peak_kb": own.ru_maxrss}
    java = getattr(getattr(CODEC, "gateway", None), "java_process", None)
    if java is not None:
        try:
            ticks = open(f"/proc/{java.pid}/stat").read().rsplit(")", 1)[1].split()
            out["java_cpu_s"] = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
            for line in open(f"/proc/{java.pid}/status"):
                if line.startswith("VmHWM"):
                    out["java_peak_kb"] = int(line.split()[1])
        except (OSError, ValueError, IndexError):
            pass
    return out


def finish(code):
    """The JVM first: it would outlive us."""
    java = getattr(getattr(CODEC, "gateway", None), "java_process", None)
    if java is not None:
        java.kill()
        java.wait()
    sys.stdout.flush()
    os._exit(code)


ENDED = False


def ended(successful, reason):
    global ENDED
    if not ENDED:
        ENDED = True
        report("ended", successful=bool(successful), reason=str(reason), **usage())


# --- what is said on the wire ----------------------------------------------------------------------------------
def describe(message):
    fields = {"message": str(message)}
    body = getattr(message, "body", None)
    inner = body.get_message() if body is not None and hasattr(body, "get_message") else message
    code = getattr(inner, "response_code", None)
    if code is not None:
        fields["code"] = getattr(code, "value", str(code))
    return fields


published_from_exi = exi_codec.EXI.from_exi


def from_exi(self, exi, namespace):
    message = published_from_exi(self, exi, namespace)
    report("received", bytes=len(exi), **describe(message))
    return message


exi_codec.EXI.from_exi = from_exi

published_send = sessions.V2GCommunicationSession.send


async def send(self, message):
    await published_send(self, message)
    report("sent", bytes=len(message.payload), **describe(self.current_state.message))


sessions.V2GCommunicationSession.send = send

published_stop = sessions.V2GCommunicationSession.stop


async def stop(self, reason):
    """Reported before the stack's five seconds of waiting; the process ends after them."""
    note = getattr(self, "stop_reason", None)
    successful = bool(note and note.successful)
    ended(successful, note.reason if note else reason)
    try:
        await published_stop(self, reason)
    finally:
        if ROLE == "evcc" or SETTINGS.get("single_session", True):
            finish(0 if successful else 1)


sessions.V2GCommunicationSession.stop = stop

def stretch_timeouts(role):
    """Every module of states has its own tables of timeouts, in seconds: of messages and of whole phases."""
    if TSCALE == 1:
        return
    modules = ["comm_session_handler", f"states.{role}_state", "states.sap_states"]
    modules += ["states.iso15118_2_states", "states.iso15118_20_states"]
    for name in modules:
        module = importlib.import_module(f"iso15118.{role}.{name}")
        for key, table in list(vars(module).items()):
            if isinstance(table, type) and issubclass(table, enum.Enum) and table.__name__ == "Timeouts":
                # Equal values are aliases of one member, so the members alone would not be all names.
                scaled = {name: float(member.value) * TSCALE for name, member in table.__members__.items()}
                setattr(module, key, types.SimpleNamespace(**scaled))


def record_secrets(module):
    published = module.get_ssl_context

    def with_key_log(server_side):
        context = published(server_side)
        if context is None:
            report("problem", what="TLS material could not be loaded")
        elif SETTINGS.get("key_log"):
            context.keylog_filename = SETTINGS["key_log"]
        return context

    module.get_ssl_context = with_key_log


# --- warm-up ---------------------------------------------------------------------------------------------------
V2 = '{"V2G_Message":{"Header":{"SessionID":"0000000000000000"},"Body":{"SessionSetupReq":{"EVCCID":"00007D0D0A0B"}}}}'
HEADER = '{"SessionID":"0000000000000000","TimeStamp":1700000000}'
ONE = '{"Exponent":0,"Value":1}'
SIGNED_INFO = (
    '{"SignedInfo":{"CanonicalizationMethod":{"Algorithm":"http://www.w3.org/TR/canonical-exi/"},"SignatureMethod":'
    '{"Algorithm":"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"},"Reference":[{"Id":"","URI":"#id1",'
    '"Transforms":{"Transform":[{"Algorithm":"http://www.w3.org/TR/canonical-exi/"}]},"DigestMethod":'
    '{"Algorithm":"http://www.w3.org/2001/04/xmlenc#sha256"},"DigestValue":"AAAA"}]}}'
)
SAMPLES = {
    "sap": (
        Namespace.SAP,
        '{"supportedAppProtocolRes":{"ResponseCode":"OK_SuccessfulNegotiation","SchemaID":1}}',
    ),
    "2": (Namespace.ISO_V2_MSG_DEF, V2),
    "20": (
        Namespace.ISO_V20_COMMON_MSG,
        '{"SessionSetupReq":{"Header":%s,"EVCCID":"WMIV1234567890ABCDEX"}}' % HEADER,
    ),
    "20dc": (
        Namespace.ISO_V20_DC,
        '{"DC_PreChargeReq":{"Header":%s,"EVProcessing":"Ongoing","EVPresentVoltage":%s,"EVTargetVoltage":%s}}'
        % (HEADER, ONE, ONE),
    ),
    "20ac": (
        Namespace.ISO_V20_AC,
        '{"AC_ChargeParameterDiscoveryReq":{"Header":%s,"AC_CPDReqEnergyTransferMode":'
        '{"EVMaximumChargePower":%s,"EVMinimumChargePower":%s}}}' % (HEADER, ONE, ONE),
    ),
    "dsig": (Namespace.XML_DSIG, SIGNED_INFO),
}


def warm(codec):
    wanted = ["sap"]
    if "ISO_15118_2" in SETTINGS["protocols"]:
        wanted += ["2"]
    if "ISO_15118_20_DC" in SETTINGS["protocols"]:
        wanted += ["20", "20dc"]
    if "ISO_15118_20_AC" in SETTINGS["protocols"]:
        wanted += ["20", "20ac"]
    if "PNC" in SETTINGS.get("auth", []):
        wanted += ["dsig"]
    began = time.monotonic()
    for name in dict.fromkeys(wanted):
        namespace, sample = SAMPLES[name]
        try:
            codec.decode(codec.encode(sample, namespace), namespace)
        except Exception as problem:  # a warm-up that fails costs time later, nothing else
            report("problem", what=f"warm-up of {name}: {problem}")
    report("warm", seconds=round(time.monotonic() - began, 3))


# --- roles -----------------------------------------------------------------------------------------------------
async def secc():
    import iso15118.secc.transport.tcp_server as transport
    from iso15118.secc import SECCHandler
    from iso15118.secc.controller.interface import ServiceStatus
    from iso15118.secc.controller.simulator import SimEVSEController
    from iso15118.secc.secc_settings import Config

    record_secrets(transport)

    class PowerStage(SimEVSEController):
        """Output voltage follows the car's target, as a bench supply does."""

        def __init__(self):
            super().__init__()
            self.evse_data_context.present_voltage = SETTINGS.get("present_voltage", 400)

        async def set_status(self, status):
            if status == ServiceStatus.READY:
                report("ready")

        async def get_dc_charge_parameters(self):
            """As published it announces 40 V at most and at least (ISO 15118-2); no car of the 400 V class may accept that."""
            parameters = await super().get_dc_charge_parameters()
            parameters.evse_maximum_voltage_limit.value = 100  # times ten
            parameters.evse_maximum_current_limit.value = 30  # times ten
            return parameters

        async def send_charging_command(self, ev_target_voltage, ev_target_current, *args, **kwargs):
            if ev_target_voltage:
                self.evse_data_context.present_voltage = int(ev_target_voltage)

    config = Config()
    config.load_envs()
    await SECCHandler(exi_codec=CODEC, evse_controller=PowerStage(), config=config).start(config.iface)


async def evcc():
    import iso15118.evcc.comm_session_handler as handler
    import iso15118.evcc.transport.tcp_client as transport
    from iso15118.evcc import Config, EVCCHandler
    from iso15118.evcc.controller.simulator import SimEVController
    from iso15118.evcc.evcc_config import EVCCConfig

    record_secrets(transport)
    published_create = handler.TCPClient.create

    async def create(*args, **kwargs):
        report("connecting", tls=bool(args[3]))
        try:
            client = await published_create(*args, **kwargs)
        except Exception as problem:
            ended(False, f"connect: {type(problem).__name__}: {problem}")
            finish(1)
        tls = client.writer.get_extra_info("ssl_object")
        report("connected", tls=tls.version() if tls else None, suite=tls.cipher()[0] if tls else None)
        return client

    handler.TCPClient.create = staticmethod(create)
    sender = handler.CommunicationSessionHandler
    published_sdp, published_restart, published_packet = (
        sender.send_sdp,
        sender.restart_sdp,
        sender.process_incoming_udp_packet,
    )

    async def send_sdp(self):
        report("discovering")
        await published_sdp(self)

    async def restart_sdp(self, new_cycle):
        try:
            await published_restart(self, new_cycle)
        except SDPFailedError as problem:
            ended(False, f"discovery: {problem}")
            finish(1)

    async def process_packet(self, message):
        try:
            await published_packet(self, message)
        except Exception as problem:
            ended(False, f"discovery answer: {type(problem).__name__}: {problem}")
            finish(1)
        if self.comm_session[0] is None:
            ended(False, "the answer to discovery was refused (security or address)")
            finish(1)

    sender.send_sdp, sender.restart_sdp, sender.process_incoming_udp_packet = send_sdp, restart_sdp, process_packet

    config = Config()
    config.load_envs()
    car = EVCCConfig(
        supportedProtocols=SETTINGS["protocols"],
        supportedEnergyServices=[SETTINGS["service"]],
        energyTransferMode=SETTINGS["mode"],
        isCertInstallNeeded=False,
        useTls=SETTINGS["tls"],
        enforceTls=SETTINGS["tls"],
        chargeLoopCycle=SETTINGS.get("loops", 10),
    )
    car.load_raw_values()
    report("ready")
    await EVCCHandler(
        evcc_config=car, iface=config.iface, exi_codec=CODEC, ev_controller=SimEVController(car)
    ).start()


def main():
    global CODEC
    stretch_timeouts(ROLE)
    CODEC = ExificientEXICodec()
    warm(CODEC)
    try:
        asyncio.run({"secc": secc, "evcc": evcc}[ROLE]())
        ended(False, "the stack returned without a session")
    except Exception as problem:
        ended(False, f"{type(problem).__name__}: {problem}")
    finish(1)


main()
