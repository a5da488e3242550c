"""Which addresses something may be fetched from."""

import ipaddress

import pytest

from virt.addresses import host_of, is_fetchable, literal

FORBIDDEN = """127.0.0.1 127.8.9.10 169.254.169.254 169.254.1.1 0.0.0.0 0.1.2.3 224.0.0.1 255.255.255.255 168.63.129.16
100.100.100.200 192.0.0.192 ::1 :: fe80::1 ff02::1 fd00:ec2::254 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::a9fe:a9fe
2002:7f00:1::""".split()
FINE = "10.0.0.1 192.168.1.1 172.16.0.9 100.64.0.1 93.184.216.34 fd12::1 2606:2800:220:1::1 ::ffff:10.0.0.1".split()


@pytest.mark.parametrize("text", FORBIDDEN)
def test_forbidden(text: str) -> None:
    assert not is_fetchable(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", FINE)
def test_it_works(text: str) -> None:
    assert is_fetchable(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "fe80::1%eth0"])
def test_odd_spellings(text: str) -> None:
    found = literal(text)
    assert found is not None
    assert not is_fetchable(found)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Images.Example./x", "images.example"),
        ("https://bücher.example/x", "xn--bcher-kva.example"),
        ("http://[fd12::1]:81/x", "fd12::1"),
        ("http://a_b.example", "a_b.example"),
    ],
)
def test_hosts(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "ftp://images.example/x",
        "http:///x",
        "http://{127.0.0.1,images.example}/x",
        "http://127%2e0.0.1/x",
        "http://images.example\\@127.0.0.1/x",
        "http://me@images.example/x",
        "http://-x.example/",
        "http://a b/",
        "http://" + "x" * 300 + ".example/",
    ],
)
def test_no_hosts(url: str) -> None:
    with pytest.raises((ValueError, UnicodeError)):
        host_of(url)
