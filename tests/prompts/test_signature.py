import hashlib
import hmac
from dataclasses import replace

import pytest

from clinprompt.errors import InputError
from clinprompt.prompts.signature import check_signature, read_key, signed

KEY = bytes(range(32))


def refused(call, *arguments, **options):
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_the_signature_is_the_hmac_of_the_standard():
    found = signed(b"content", KEY)
    assert found.value == hmac.new(KEY, b"content", hashlib.sha256).hexdigest()
    assert found.algorithm == "hmac-sha256" and len(found.key) == 12
    check_signature(b"content", found, KEY, where="here")
    assert signed(b"content", KEY[::-1]).key != found.key


def test_another_content_another_key_and_no_signature_are_refused():
    found = signed(b"content", KEY)
    assert "changed after" in refused(check_signature, b"Content", found, KEY, where="here")
    forged = replace(found, value="0" * 64)
    assert "changed after" in refused(check_signature, b"content", forged, KEY, where="here")
    assert "signed with the key" in refused(check_signature, b"content", found, KEY[::-1], where="here")
    assert "not signed" in refused(check_signature, b"content", None, KEY, where="here")


def test_keys_are_read_without_their_line_break_and_short_ones_refused(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef" * 4 + b"\r\n")
    assert read_key(path) == b"0123456789abcdef" * 4
    path.write_bytes(b"secret\n")
    message = refused(read_key, path)
    assert "6 bytes" in message and "openssl" in message and "secret" not in message
    assert "cannot be read" in refused(read_key, tmp_path / "none")
