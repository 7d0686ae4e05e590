"""A browser, a server, and a page that is looked at when it is left."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from tests.made_findings import correcting
from tests.made_pages import CHROMIUM, FOUND, NOTE


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with correcting(folder) as (server, address):
        yield server, address, folder / "corrections"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def opened(server, browser):
    """Opens the page; at the end nothing was complained of, asked for elsewhere, or left behind."""
    _, address, _ = server
    made, said, asked = [], [], []

    def open_page(*, width=1300, height=900, scheme="light", found=FOUND):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda fault: said.append(str(fault)))
        page.on("request", lambda request: asked.append(request.url))
        if found is not None:  # the answers of a model, which a tiny random one does not give
            body = json.dumps({"results": [{"id": "note", "characters": len(NOTE), "tasks": found}]})
            page.route("**/v1/extract", lambda route: route.fulfill(body=body, content_type="application/json"))
        page.goto(address)
        page.wait_for_selector(".task")
        made.append(page)
        return page

    yield open_page
    assert said == []
    here = urlsplit(address).netloc
    assert all(url.startswith("blob:") or urlsplit(url).netloc == here for url in asked)
    assert not any("aspirin" in url or urlsplit(url).query for url in asked)
    for page in made:
        left = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie, location.href]")
        assert left == [0, 0, "", f"{address}/"]
        page.context.close()
