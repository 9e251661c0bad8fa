#!/usr/bin/env python3
"""Writes the seeds of fuzz/corpus, one small file for each thing that a target should know from the start.

Run it after a change here; what the fuzzer found itself is left alone.
"""

import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "tests/golden/tls"
# Ends a part of an input.
END = b"\xff"


def seeds(target, inputs):
    directory = HERE / "corpus" / target
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("seed-*"):
        old.unlink()
    for number, content in enumerate(inputs):
        (directory / f"seed-{number:02}").write_bytes(content)


def texts(*parts):
    return b"".join(part.encode() + END for part in parts)


# Messages on the wire.


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def mapping(number, entries):
    return b"".join(field(number, message((1, key), (2, value))) for key, value in entries.items())


def file(path, mode, contents):
    return message((1, path), (2, mode), (3, contents))


def answer(*files, objects=(("secret/a", "v1"),), error=None):
    out = b"".join(field(1, message((1, name), (2, version))) for name, version in objects)
    if error:
        out += field(2, message((1, error)))
    return out + b"".join(field(3, one) for one in files)


def mount_response():
    return [
        answer(file("password", 0o644, "made-up-password")),
        answer(file("tls/key.pem", 0o400, "made-up-key"), file("tls/cert.pem", 0, "made-up-certificate")),
        answer(file("a", 0, "first-of-two"), file("a/b", 0, "second-of-two")),
        answer(file("../up", 0, "leads-out-of-it"), file("..data", 0, "is-the-drivers")),
        answer(file("a", -1, "one-of-the-two"), file("a", 0o4755, "last-of-the-two"), error="Unavailable"),
        answer(objects=()) + field(9, "a field of a newer version"),
        answer(file("d/" * 40 + "leaf", 0, b"\x00\xff\xfe")),
        answer(file("x" * 256, 0, ""), file("/etc/passwd", 0, ""), file("a//b", 0, "")),
        answer(file("a" + "/b" * 2100, 0, "")),
    ]


CONTEXT = {
    "secretProviderClass": "db",
    "csi.storage.k8s.io/pod.name": "web",
    "csi.storage.k8s.io/pod.namespace": "team",
    "csi.storage.k8s.io/pod.uid": "u1",
    "csi.storage.k8s.io/serviceAccount.tokens": '{"vault":{"token":"made-up-token"}}',
}
TARGET = "/k/pods/u1/volumes/kubernetes.io~csi/v/mount"


def publish_request():
    def publish(context=CONTEXT, target=TARGET, group="", readonly=1, secrets=None, volume="csi-1"):
        capability = field(2, message((3, group))) if group else field(2, b"")
        return (
            message((1, volume), (4, target), (5, capability), (6, readonly))
            + mapping(7, secrets or {})
            + mapping(8, context)
        )

    plain = b"\x00\x00"
    confined = b"\x01\x00"
    with_class = b"\x01\x02" + texts("address", "https://vault", "secretProviderClass", "db")
    reserved = b"\x01\x01" + texts("csi.storage.k8s.io/pod.name", "admin")
    tokens = {"csi.storage.k8s.io/serviceAccount.tokens": "newer-made-up-token", "user": "made-up-user"}
    return [
        plain + publish(),
        confined + publish(group="2000", secrets=tokens),
        with_class + publish(dict(CONTEXT, address="https://elsewhere")),
        reserved + publish(),
        confined + publish(target="/etc/passwd"),
        plain + publish(target="/a/../b"),
        plain + publish(group="4294967295"),
        plain + publish(group="wheel"),
        plain + publish(readonly=0),
        plain + publish(context={"x": "y"}),
        plain + publish(context={}),
        plain + publish(volume=""),
        plain + message((1, "csi-1")),
        b"\x05" + message((1, "csi-1"), (2, TARGET)),
        b"\x04" + message((1, "csi-1"), (2, "relative/path")),
        b"\x04" + message((1, "csi-1")),
        b"\x07" + message((1, "csi-1"), (2, TARGET)),
        b"\x07" + message((1, "csi-1"), (2, "/etc")),
        b"\x06" + message((1, "csi-1")),
        b"\x06",
    ]


POD = {
    "metadata": {
        "namespace": "team", "name": "web-1", "uid": "u1", "resourceVersion": "71", "deletionTimestamp": None,
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r1",
                             "controller": True, "blockOwnerDeletion": True}],
    },
    "spec": {"nodeName": "node-1", "volumes": [
        {"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True,
                                    "volumeAttributes": {"secretProviderClass": "db"}}},
        {"name": "bare", "csi": {"driver": "other", "volumeAttributes": None}},
        {"name": "scratch", "emptyDir": {}},
    ]},
    "status": {"phase": "Running"},
}
SECRET = {
    "metadata": {
        "namespace": "team", "name": "db", "uid": "s1", "resourceVersion": "72",
        "labels": {"secrets-store.csi.k8s.io/managed": "true", "team": "shop"}, "annotations": {"note": "x"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r1"}],
        "managedFields": [
            {"manager": "csi-secrets-store", "time": "2026-01-01T00:00:00Z", "fieldsV1": {
                "f:data": {"f:password": {}}, "f:metadata": {"f:labels": {"f:team": {}}, "f:annotations": {"f:note": {}}}}},
            {"manager": "kubectl", "fieldsV1": {"f:data": {"f:user": {}}}},
        ],
    },
    "type": "Opaque",
    "data": {"password": "bWFkZS11cC1wYXNzd29yZA==", "user": "bWFkZS11cC11c2Vy", "empty": None},
}
SECRET_OBJECTS = [
    {"secretName": "db", "type": "Opaque", "labels": {"team": "shop"}, "annotations": {"note": "x"},
     "data": [{"objectName": "db/password", "key": "password"}, {"objectName": "db/user", "key": "user"}]},
    {"secretName": "tls", "type": "kubernetes.io/tls", "data": [{"objectName": "bundle", "key": "tls.crt"}]},
    {"secretName": "Not-A-Name", "type": "Opaque", "data": [{"objectName": "a", "key": "k"}]},
    {"secretName": "a", "type": "Opaque", "data": [{"objectName": "a", "key": "../k"}]},
    {"secretName": "a", "type": "Opaque", "data": [{"objectName": "", "key": "k"}]},
    {"secretName": "a", "type": "Opaque", "data": [{"objectName": "a", "key": None}]},
    {"secretName": "a", "type": "Opaque", "data": []},
    {"secretName": "a", "type": "Opaque", "data": {"objectName": "a"}},
    {"secretName": "a", "type": "Opaque", "labels": {"k": 1}},
    {"secretName": "a", "type": "Opaque", "labels": []},
    {"secretName": "a", "type": "Opaque"},
    {"secretName": "a"},
    {"secretName": 1},
    {},
    "text",
]
CLASS = {
    "metadata": {"namespace": "team", "name": "db", "uid": "c1", "resourceVersion": "73", "generation": 3},
    "spec": {"provider": "vault", "parameters": {"role": "shop", "none": None}, "secretObjects": SECRET_OBJECTS[:1]},
}


def line(kind, thing):
    return json.dumps({"type": kind, "object": thing}).encode()


def watch_frame():
    bookmark = {"metadata": {"resourceVersion": "99"}}
    expired = {"kind": "Status", "code": 410, "reason": "Expired"}
    rows = [(0, "ADDED", POD), (1, "MODIFIED", SECRET), (2, "ADDED", CLASS), (0, "DELETED", POD),
            (1, "BOOKMARK", bookmark), (2, "ERROR", expired), (0, "OTHER", {}), (0, "ERROR", {"code": "text"})]
    out = [bytes([kind]) + line(word, thing) for kind, word, thing in rows]
    return out + [b"\x00" + texts("9", "10", "0011"), b"\x01", b"\x02not json", b"\x00[\"ADDED\",{}]",
                  b"\x00{\"type\":\"ADDED\"}"]


def api_object():
    def status(code, reason, text, causes=(), after=None):
        details = {"causes": list(causes), "retryAfterSeconds": after}
        body = {"kind": "Status", "code": code, "reason": reason, "message": text, "details": details}
        return json.dumps(body).encode()

    def cause(reason, name="data[tls.crt]"):
        return {"reason": reason, "message": "made-up words", "field": name}

    pod_status = {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus", "newer": {"a": [1, None]},
        "metadata": dict(SECRET["metadata"], finalizers=["x/y"]),
        "status": {"podName": "web", "secretProviderClassName": "db", "mounted": True, "targetPath": TARGET,
                   "objects": [{"id": "a", "version": "1"}], "newer": None},
    }
    driver = {"spec": {"podInfoOnMount": True, "attachRequired": False, "volumeLifecycleModes": ["Ephemeral"],
                       "requiresRepublish": True, "tokenRequests": [{"audience": "vault"}], "fsGroupPolicy": "None",
                       "serviceAccountTokenInSecrets": True}}
    reasons = ["FieldValueRequired", "FieldValueTypeInvalid", "FieldValueNotSupported", "FieldValueInvalid"]
    objects = [
        (0, 0, json.dumps(CLASS).encode()),
        (0, 0, json.dumps({"spec": {"parameters": {"port": 443}}}).encode()),
        (0, 0, json.dumps({"metadata": "text", "spec": []}).encode()),
        (0, 0, b"[1]"),
        (1, 0, json.dumps(pod_status).encode()),
        (1, 0, b'{"metadata":null,"status":{"objects":null}}'),
        (2, 0, json.dumps(SECRET).encode()),
        (2, 0, b'{"data":{"k":"not base64!"}}'),
        (2, 0, b'{"data":{"k":1}}'),
        (3, 0, json.dumps(driver).encode()),
        (3, 0, json.dumps(POD).encode()),
        (5, 0, b'"text"'),
        (5, 0, b"null"),
    ]
    objects += [(5, 0, json.dumps([entry]).encode()) for entry in SECRET_OBJECTS]
    words = "secrets is forbidden: User \"a\" cannot create resource \"secrets\" in API group \"\""
    answers = [
        (4, status(404, "NotFound", "secrets \"db\" not found")),
        (4, b"404 page not found\n"),
        (3, status(403, "Forbidden", words)),
        (3, status(403, "Forbidden", words + ": RBAC: clusterrole \"x\" not found")),
        (3, status(403, "Forbidden", "admission webhook denied: made-up-content")),
        (7, status(422, "Invalid", "made-up-content", [cause(reason) for reason in reasons])),
        (7, status(422, "Invalid", "made-up-content", [cause("FieldValueInvalid", "metadata.name")] * 9)),
        (8, status(429, "TooManyRequests", "", after=7)),
        (5, status(409, "AlreadyExists", "x" * 1100)),
    ]
    answers += [(code, b"") for code in range(16)]
    objects += [(4, code, body) for code, body in answers]
    texts = {"k%d" % number: "" for number in range(70)}
    many = [{}] * 130, [{"secretName": "s", "data": [{}] * 260}], [{"secretName": "s", "type": "t", "labels": texts}]
    objects += [(5, 0, json.dumps(entries).encode()) for entries in many]
    parameters = {"%x" % number: "" for number in range(1100)}
    objects.append((0, 0, json.dumps({"spec": {"parameters": parameters, "secretObjects": [{}] * 130}}).encode()))
    return [bytes([kind, code]) + body for kind, code, body in objects]


def tls_material():
    def golden(*names):
        return b"".join((GOLDEN / name).read_bytes() for name in names)

    files = [[path.name] for path in sorted(GOLDEN.iterdir())]
    files += [["leaf.pem", "ca.pem"], ["leaf.pem", "ec256.pkcs8.pem"], ["ca.pem", "ec384.sec1.pem", "ed25519.pem"]]
    out = [b"\x00" + golden(*names) for names in files]
    block = b"-----BEGIN %s-----\n%s\n-----END %s-----\n"
    out += [
        b"\x00" + block % (b"CERTIFICATE", b"Proc-Type: 4\nOther:\n\naGVsbG8=", b"CERTIFICATE"),
        b"\x00" + block % (b"CERTIFICATE", b" -----END CERTIFICATE: -----\n\naGVsbG8=", b"CERTIFICATE"),
        b"\x00" + block % (b"CERTIFICATE", b"aGVsbG8", b"CERTIFICATE"),
        b"\x00" + block % (b"PRIVATE KEY", b"aGVsbG8=", b"PRIVATE KEY"),
        b"\x00" + block % (b"CERTIFICATE", b"aGVsbG8=", b"OTHER"),
        b"\x00-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n",
        b"\x01" + texts("X Y") + b"\x02" + texts("Proc-Type", "1", "B", "2: 3") + bytes(range(100)),
        b"\x01" + texts("EMPTY") + b"\x00",
    ]

    def items(kind, pairs, *contents):
        out = bytes([2, kind, len(pairs) - 1])
        for source, key in pairs:
            out += bytes([source]) + {"tls.crt": b"\x00", "tls.key": b"\x01"}.get(key, b"\x02" + texts(key))
        return out + b"".join(content + END for content in contents)

    bundle = golden("leaf.pem", "ec256.pkcs8.pem")
    return out + [
        items(1, [(0, "tls.crt"), (0, "tls.key")], bundle),
        items(1, [(0, "tls.crt"), (1, "tls.key")], golden("leaf.pem"), golden("rsa.pkcs8.pem")),
        items(1, [(0, "ca.crt")], bundle),
        items(1, [(0, "tls.key")], b"none"),
        items(0, [(0, "x"), (1, "x"), (0, "y")], b"one", b"two"),
        items(0, [(2, "x")]),
        items(0, [(3, "x")]),
        items(0, [(4, "a"), (4, "b"), (4, "c"), (4, "d")]),
    ]


def http_request():
    def head(text):
        return text.replace("\n", "\r\n").encode("latin-1")

    many = "".join(f"X-{number}: a\n" for number in range(65))
    return [head(text) for text in [
        "GET /metrics HTTP/1.1\nHost: node:8095\nUser-Agent: Prometheus/3\nAccept: */*\n\n",
        "HEAD /healthz HTTP/1.0\n\n",
        "GET /a%2fb+c?x=1%202&y=a+b&flag&&=odd HTTP/1.1\nHost: a\n\nbytes after it",
        "GET http://node:8095/metrics?x HTTP/1.1\nHost: a\n\n",
        "GET http://node HTTP/1.1\nHost: a\n\n",
        "GET * HTTP/1.1\nHost: a\n\n",
        "POST / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
        "GET / HTTP/1.0\nContent-Length: 5\n\nhello",
        "GET / HTTP/1.0\nContent-Length: 0\nContent-Length: x\n\n",
        "GET / HTTP/1.0\nTransfer-Encoding: chunked\n\n",
        "PRI * HTTP/2.0\n\nSM\n\n",
        "GET / nonsense\n\n",
        "GET /%ff HTTP/1.1\nHost: a\n\n",
        "GET /%zz?%4 HTTP/1.1\nHost: a\n\n",
        "GET /?" + "a&" * 33 + " HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.0\n" + many + "\n",
        "GET / HTTP/1.0\nX: " + "a" * 8200 + "\n\n",
        "\x16\x03\x01\x02",
    ]]


def mount_table():
    return [
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n"
        b"70 36 0:44 / " + TARGET.encode() + b" rw,nosuid,nodev,noexec - tmpfs secrets-store-csi rw,size=32768k\n",
        b"1 2 0:1 / /a\\040b\\134c\\9 rw - tmpfs none rw",
        b"garbage\n1 2 0:1 / /a rw\n\xff\xfe\n1 2 0:1 / /b rw - tmpfs no\\040ne rw\n",
        b"1 2 0:1 / /a rw - tmpfs \\377 rw\n1 2 0:1 / /a rw - \xff none rw\n1 2 0:1 / /a rw - tmpfs",
    ]


def flags():
    def words(*args, host="10.0.0.1", port="443"):
        return texts(host, port) + b"\0".join(arg.encode() if isinstance(arg, str) else arg for arg in args)

    server = "--kube-api-server="
    return [
        words("--endpoint=unix:///csi/csi.sock", "--nodeid=n1", "--v=5", "--provider-volume=/p"),
        words("-enable-secret-rotation", "--rotation-poll-interval=30s", "-log-format-json=T"),
        words("--endpoint", "unix://csi.sock", "--nodeid", "n1", "--kubelet-registration-dir=/k/plugins_registry",
              "--kubelet-registration-path=/k/csi.sock"),
        words("--kubelet-registration-dir=relative"),
        words("--kubelet-registration-dir=/k", "--endpoint=tcp://1.2.3.4:5"),
        words("--kubelet-registration-dir=/k"),
        words("--kubelet-registration-dir=/k", "--nodeid=n", "--drivername=-not-a-name-"),
        words("--kubelet-registration-dir=/k", "--nodeid=n", "--kubelet-registration-path=x"),
        words("--kubelet-registration-path=/k"),
        words("--volume-size-limit=32Mi", "--volume-inode-limit=0x10", "--max-concurrent-calls=10", "--max-provider-calls=5"),
        words("--volume-size-limit=0"), words("--volume-size-limit=17179869184Gi"), words("--volume-inode-limit=0"),
        words("--max-concurrent-calls=0"), words("--max-provider-calls=4097"), words("--max-call-recv-msg-size=0"),
        words("--provider-health-check", "--provider-health-check-interval=0s"),
        words("--provider-health-check", "--provider-health-check-interval=1m30.5s"),
        words("--shutdown-grace-period=-1s"), words("--kubelet-pods-dir=/k/pods"), words("--kubelet-pods-dir=/k/../x"),
        words("--metrics-addr=[::1]:8095", "--health-addr=:9808"), words("--metrics-addr=x"), words("--metrics-addr=0"),
        words("--metrics-backend=OpenCensus"), words("--drivername="), words("--provider-volume=", "--additional-provider-volume-paths="),
        words("--additional-provider-volume-paths=/a,/b,,/c"), words("--v=-3"), words("--v=99999999999"),
        words("--grpc-supported-providers=x", "--filtered-watch-secret", "--enable-pprof", "--one_output", "word", "--v=1"),
        words("--version"), words("--help"), words("-h"), words("--nope"), words("---v"), words("-=1"), words("--nodeid"),
        words("--version=maybe"), words("--v=0b2"), words("--v=9223372036854775808"), words("--v=-9223372036854775808"),
        words("--v=1_000"), words("--v=017"), words("--v=0o_17"), words("--rotation-poll-interval=5"),
        words("--", "--v=1"), words("-", "x"), words("--nodeid", b"\xfe"), words(b"--\xfe"), words("--nodeid", "--"),
        words(server + "https://api:6443/", "--kube-ca-file=/ca", "--kube-token-file=/token"),
        words(server + "http://[::1]:80/x"), words(server + "http://127.0.0.1"), words(server + "http://api"),
        words(server + "ftp://api"), words(server + "https://user@api"), words(server + "https://[fd00::1]:6443/a%20b"),
        words(server + "https://api/a?b"), words(server + "https://api:0"), words("--kube-ca-file=/ca"), words("--kubeconfig=/k"),
        words(host="", port=""), words(host="[fd00::1]"), words(host="fd00::1"), words(host="a/b"), words(port="0"),
        words("--pod", "team/web", "--short", "--v=2", "--help"),
        words("--control-addr=:8080", "--secrets-dir=/s"), words("--endpoint=nowhere"),
    ]


def durations():
    rows = ["0", "-0", "2m", "1h15m30.918273645s", "500ms", "-1m", "+5s", ".5s", "1.s", "12us", "12\u00b5s", "12\u03bcs",
            "7ns", "9223372036854775807ns" * 2 + "2ns", "0.3333333333333333333h", "9223372036854775807ns", "-9223372036854775808ns", "99999999999999999999s",
            "2562047h47m16.854775807s", "9999999999h", "120", ".s", "1d", "--1s", "",
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sat, 31 Dec 2016 23:59:60 GMT", "Thu, 29 Feb 2024 23:59:59 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 08:49:37:01 GMT", "Sun, 00 Nov 1994 08:49:37 GMT"]
    instants = [struct.pack("<IB", seconds >> 8, seconds & 255) + b"\xff\xc9\x9a\x3b"
                for seconds in (0, 951_782_400, 4_107_456_000, 253_402_300_799)]
    return [row.encode() for row in rows] + instants


def paths():
    rows = ["password", "a/b/c", ".hidden", "a/..b", "..data", "..", "a/../b", "/etc/passwd", "a//b", "./a", "a/", "",
            "a\0b", "x" * 256, "vault", "e2e-provider", "bad/name", "é", "/", TARGET, "/k/pods-evil/u", "/a/./b", "//a",
            "\u202e\n" * 70]
    out = [texts(row, "/k/pods", "u1/x") for row in rows]
    return out + [texts("a/" * 2050 + "b", "/", "x"), texts("/a" * 2050, "", ""), texts("u1", "/k", "v")]


def volume_writer():
    def write(*files, group=0, kind=10):
        return bytes([1, kind, len(files)]) + b"".join(files) + bytes([group])

    def known(path, mode=0, content=3):
        return bytes([2, path, 1, mode, 2, content])

    def named(path, content=b"made-up"):
        return b"\x00" + path.encode() + END + bytes([1, 0, 1]) + content + END

    def large(path, byte, more):
        return bytes([2, path, 1, 0, 0, byte, more])

    simple = write(known(0), known(6), known(9))
    other = write(known(4), known(5, 3, 4), known(13))
    out = [
        simple + simple + other,
        simple + other + simple,
        write(large(0, 7, 2)) + write(large(0, 7, 3)) + write(large(0, 8, 3)),
        simple + write(named("../up")) + write(named("..data/x")) + write(known(0), known(4)),
        write(known(0), group=3) + write(known(0), group=4) + write(known(0)),
        simple + bytes([1, 8, 3]) + simple,
        simple + bytes([0, 7, 0]) + write(known(0))[2:],
        simple + bytes([0, 7, 1]) + write(known(1))[2:],
        write(named("deep/" * 30 + "leaf"), known(11)),
        write(),
    ]
    out += [simple + bytes([2, 3, step]) + other[2:] + other for step in range(12)]
    out += [simple + bytes([2, 5, spare]) + other[2:] + other for spare in range(8)]
    # Something foreign, what is read of it, and a write over it.
    read = {0: (0, 6), 1: (1,), 2: (5, 7), 3: (), 4: (2, 3, 4), 5: ()}
    out += [simple + bytes([2, 0, name, kind]) + b"".join(bytes([2, 9, 6, 5, 2, path]) for path in read[name]) + other
            for name in range(6) for kind in range(7)]
    out += [simple + b"".join(bytes([2, 9, path, spare, 2, 0]) for path in (0, 6, 9)) for spare in range(6)]
    # Shortages before there is anything to compare with.
    out += [bytes([1, 5, spare, 3]) + known(6) + known(9) + known(10) + b"\x00" + other for spare in range(8)]
    # Nothing at all, and then nothing that belongs to a group.
    out += [write() + bytes([1, 10, 0, 4])]
    # Reading where nothing is, where nothing leads, and what no volume can hold.
    out += [bytes([1, 9, 6, 5, 2, 0]) + simple + bytes([2, 2, 1]) + bytes([2, 9, 6, 5, 2, 0]) + bytes([2, 9, 6, 5, 2, 6]) + simple]
    out += [bytes([1, 0, 4, 1]) + bytes([2, 9, 6, 5, 2, 3]) + bytes([2, 9, 6, 5, 0]) + b"../x" + END + bytes([2, 9, 6, 5, 0]) + b"foreign/x/f" + END]
    out += [simple + bytes([2, 0, 4, 1]) + bytes([2, 0, 1, 5]) + bytes([2, 9, 6, 5, 0]) + b"b/f" + END + bytes([2, 9, 6, 5, 0]) + b"b/y" + END]
    out += [simple + bytes([2, 2, 2, which]) + bytes([2, 9, 6, 5, 2, 0]) for which in range(4)]
    out += [simple + bytes([2, 2, 2, 1]) + bytes([2, 1, 3, 0]) + bytes([2, 2, 2, 1]) + bytes([2, 9, 6, 5, 2, 0]) + simple]
    out += [simple + bytes([2, 1, name, kind]) + other for name in range(4) for kind in range(2)]
    out += [simple + bytes([2, 2, how, which]) + simple for how in range(4) for which in range(4)]
    out += [simple + bytes([2, 9, 6, 5, 0]) + b"a" + END + bytes([2, 9, 6, 5, 1, 2]) + b"x" + END]
    return out


for target in [api_object, durations, flags, http_request, mount_response, mount_table, paths, publish_request,
               tls_material, volume_writer, watch_frame]:
    seeds(target.__name__, target())
