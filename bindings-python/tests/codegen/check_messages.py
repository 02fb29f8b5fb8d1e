"""Generated messages do what messages do; run with one protobuf after the other, in either of its implementations.

It prints the version that it ran with.
"""

from __future__ import annotations

import ast
import copy
import importlib
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import google.protobuf
from generated import no_package_pb2, orders_pb2
from generated.edge import kinds_pb2 as kinds
from generated.edge import legacy_types_pb2 as legacy
from generated.money import money_pb2 as money
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.internal import api_implementation
from google.protobuf.message import Message

SERVICES = ("orders", "no_package", "edge.kinds", "edge.legacy_types", "edge.names", "edge.type", "edge.edition")


def check_round_trip(message: Message) -> None:
    """Bytes, pickles, copies and JSON give the message back."""
    assert type(message).FromString(message.SerializeToString()) == message
    assert pickle.loads(pickle.dumps(message)) == message
    assert copy.deepcopy(message) == message
    assert json_format.Parse(json_format.MessageToJson(message), type(message)()) == message


def check_kinds() -> None:
    """Each kind of field."""
    everything = kinds.Everything(
        a_double=1.5,
        a_uint64=2**64 - 1,
        some_bytes=b"\0\xff",
        level=kinds.LEVEL_HIGH,
        everything={"ints": [3]},
        ints=[1, 2],
        levels=[kinds.LEVEL_HIGH, "LEVEL_UNSPECIFIED"],
        amounts=[money.Amount(cents=3), {"cents": 4}],
        names={1: "a"},
        prices={"x": money.Amount(cents=5)},
        by_flag={True: kinds.LEVEL_HIGH},
        maybe_level="LEVEL_HIGH",
        text="t",
        legacy=legacy.Legacy(id=3),
        null="NULL_VALUE",
    )
    check_round_trip(everything)
    assert everything.HasField("maybe_level")
    assert not everything.HasField("maybe_int")
    assert everything.WhichOneof("one") == "text"
    assert everything.amounts[1].cents == 4
    everything.amount.cents = 6
    assert everything.WhichOneof("one") == "amount"
    assert kinds.Level.Name(kinds.LEVEL_HIGH) == "LEVEL_HIGH"
    assert kinds.Level.Value("LEVEL_HIGH") == kinds.LEVEL_HIGH == kinds.LEVEL_TOP
    assert type(everything).__module__ == "generated.edge.kinds_pb2"
    # What a file imports publicly is its own, too.
    assert kinds.Amount is money.Amount


def check_words() -> None:
    """Names that are words of Python."""
    unwritable: dict[str, Any] = {"from": 3}
    words = kinds.Words(**unwritable, int=4, bytes=b"x", property=True, str="s", list=["a"], Words="LEVEL_HIGH")
    # Not as JSON, which protobuf cannot write if a field hides a method of the message.
    assert kinds.Words.FromString(words.SerializeToString()) == words
    assert getattr(words, "from") == 3
    none = kinds.None_(inner=kinds.None_.class_(none=kinds.None_(truth="Name")))
    check_round_trip(none)
    assert none.inner.none.truth == kinds.None_.Name
    assert kinds.Holder(Status=kinds.Status(status="UNKNOWN")).Status.status == kinds.Status.UNKNOWN


def check_legacy() -> None:
    """What only proto2 has."""
    message = legacy.Legacy(id=1, point=legacy.Legacy.Point(x=1), packed=[1, 2])
    message.Extensions[legacy.Legacy.nickname] = "n"
    message.Extensions[legacy.parent].id = 2
    message.Extensions[legacy.tags].extend(["a", "b"])
    assert legacy.Legacy.FromString(message.SerializeToString()) == message
    assert message.color == legacy.Legacy.GREEN
    assert message.name == "nobody"


def check_descriptors() -> None:
    """Options and descriptors are there whole, also those that the file itself defines."""
    service = legacy.DESCRIPTOR.services_by_name["Nobody"]
    assert service.GetOptions().Extensions[legacy.internal]
    fields = legacy.Legacy.DESCRIPTOR.fields_by_name
    assert fields["id"].GetOptions().Extensions[legacy.note] == "the key"
    fields = kinds.Everything.DESCRIPTOR.fields_by_name
    assert fields["old"].GetOptions().deprecated
    assert (fields["some_bytes"].json_name, fields["a_double"].json_name) == ("payload", "aDouble")
    for module in (kinds, legacy, money, orders_pb2, no_package_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for name, message in module.DESCRIPTOR.message_types_by_name.items():
            copied = descriptor_pb2.DescriptorProto()
            message.CopyToProto(copied)
            assert copied.name == name
            assert [field.name for field in copied.field] == [field.name for field in message.fields]
        for name, enum in module.DESCRIPTOR.enum_types_by_name.items():
            copied_enum = descriptor_pb2.EnumDescriptorProto()
            enum.CopyToProto(copied_enum)
            assert copied_enum.name == name
        for name, each in module.DESCRIPTOR.services_by_name.items():
            copied_service = descriptor_pb2.ServiceDescriptorProto()
            each.CopyToProto(copied_service)
            assert copied_service.name == name


def check_edition() -> None:
    """Features of an edition; a protobuf that does not know editions says so."""
    # By its name, so that type checkers need no protoc that knows editions.
    name = "generated.edge.edition_pb2"
    if google.protobuf.__version__.startswith(("3.", "4.")):
        try:
            importlib.import_module(name)
        except ImportError as error:
            assert "edge/edition.proto has an edition, which needs protobuf 5.26 or newer" in str(error)
            return
        raise AssertionError("imported an edition")
    edition = importlib.import_module(name)
    message = edition.Featured(explicit=0, implicit=0, required=1, packed=[1, 2], expanded=[1, 2])
    message.delimited.required = 3
    message.closed = edition.CLOSED_TWO
    message.Extensions[edition.note] = "x"
    assert edition.Featured.FromString(message.SerializeToString()) == message
    assert message.HasField("explicit")
    assert not edition.Featured.DESCRIPTOR.fields_by_name["implicit"].has_presence
    assert message.SerializeToString().startswith(b"\x08\x00\x18\x01\x22\x02\x01\x02\x28\x01\x28\x02\x33")


def check_stubs() -> None:
    """What a stub declares is there at run time, and all fields are declared that can be."""
    for module in (kinds, legacy, money, orders_pb2, no_package_pb2):
        assert module.__file__ is not None
        tree = ast.parse(Path(module.__file__).with_suffix(".pyi").read_text())
        check_declared(tree.body, module)


def check_declared(body: list[ast.stmt], owner: object) -> None:
    """The declarations of a module, a message or an enum."""
    declared = set()
    for each in body:
        if isinstance(each, ast.ClassDef | ast.FunctionDef):
            declared.add(each.name)
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            declared.add(each.target.id)
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            found = getattr(owner, each.name)
            check_declared(each.body, found() if isinstance(found, type) else found)
    missing = [name for name in declared if not (name.startswith("_") or hasattr(owner, name))]
    assert not missing, (owner, missing)
    if isinstance(owner, Message):
        fields = {field.name for field in owner.DESCRIPTOR.fields}
        # A keyword, and a method of all messages.
        assert fields - declared <= {"from", "ListFields"}, (owner, fields - declared)


def services() -> list[ModuleType]:
    """The modules with services, as far as this protobuf can have their messages."""
    old = google.protobuf.__version__.startswith(("3.", "4."))
    names = [name for name in SERVICES if not (old and name == "edge.edition")]
    return [importlib.import_module(f"generated.{name}_spanwire") for name in names]


def check_services() -> None:
    """Services stand on the messages; each method has its path and its classes."""
    modules = services()
    orders = modules[0]
    assert orders.ORDERS_GET.path == "/shop.v1.Orders/Get"
    assert orders.ORDERS_GET.request is orders_pb2.GetOrder
    assert orders.ORDERS_GET.response is orders_pb2.Order
    names = [name for name, _ in modules[2].Words_Base.__spanwire_methods__]
    assert names == ["from_", "spanwire_", "overload_", "lambda_", "words_pb2_", "init"]
    assert modules[2].WORDS_FROM.response is kinds.None_.class_


def main() -> None:
    check_kinds()
    check_words()
    check_legacy()
    check_descriptors()
    check_stubs()
    check_edition()
    check_services()
    print(google.protobuf.__version__, api_implementation.Type())


if __name__ == "__main__":
    main()
