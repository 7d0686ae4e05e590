from __future__ import annotations

import pytest

from clinprompt.serving.refused import Refused


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"), (404, "not_found_error"),
     (413, "invalid_request_error"), (429, "rate_limit_error"), (503, "server_error")],
)  # fmt: skip
def test_the_form_is_openais(status, kind):
    refused = Refused(status, "code", "a sentence", param="note", retry_after=7 if status == 503 else None)
    assert refused.body() == {"error": {"message": "a sentence", "type": kind, "param": "note", "code": "code"}}
    assert refused.headers().get("retry-after") == ("7" if status == 503 else None)
    assert ("www-authenticate" in refused.headers()) == (status == 401)


def test_the_stock_client_reads_it():
    openai = pytest.importorskip("openai")
    httpx = pytest.importorskip("httpx")

    def answer(request):
        refused = Refused(401, "invalid_api_key", "the key is not one of this server's")
        return httpx.Response(refused.status, json=refused.body(), headers=refused.headers())

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        client = openai.OpenAI(api_key="x", base_url="http://test/v1", http_client=http, max_retries=0)
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
    assert caught.value.code == "invalid_api_key" and caught.value.type == "authentication_error"
