"""The page as people use it: in a real browser, with its policy in force, by mouse, by keyboard, on a phone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from seemory.store.keys import Keys

from .conftest import MARKUP, Shown, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="the browser's tests need seemory[test]").expect


def first(page: Page) -> str:
    return page.locator(".tile img").first.get_attribute("alt") or ""


def opened(page: Page, address: str = "/") -> None:
    page.goto(address)
    expect(page.locator(".tile").first).to_be_visible()


def until(page: Page, true: str) -> None:
    """Playwright's own way of waiting for an expression needs an `eval`, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(true):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came about: {true}")


def test_search_as_one_types_then_more_like_this_and_back(page: Page) -> None:
    opened(page)
    expect(page.get_by_role("status")).to_have_text("12 items")
    page.get_by_role("searchbox").press_sequentially("an orange flower", delay=15)
    expect(page.get_by_role("status")).to_have_text("Best of 12 items for “an orange flower”")
    expect(page.locator(".tile").first).to_have_accessible_name(re.compile("An orange dahlia|two.mp4 at 0:02"))
    page.locator(".tile", has=page.get_by_alt_text("An orange dahlia (flower.jpg)")).click()
    viewer = page.get_by_role("dialog")
    expect(viewer.get_by_role("heading", level=2)).to_have_text("An orange dahlia")
    expect(viewer.locator(".reasons li").first).to_contain_text("cosine")
    expect(viewer.locator("dd", has_text="640 × 427")).to_be_visible()
    expect(viewer.get_by_alt_text("An orange dahlia (flower.jpg)")).to_be_visible()
    viewer.get_by_role("button", name="More like this").click()
    expect(page.get_by_role("status")).to_have_text("Best of 12 items for flower.jpg")
    assert "flower.jpg)" not in first(page)
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("an orange flower")
    expect(page.get_by_role("status")).to_have_text("Best of 12 items for “an orange flower”")


def test_a_picture_that_is_dropped_or_chosen_finds_itself(page: Page, library: Shown) -> None:
    opened(page)
    page.get_by_label("Search by a picture of yours").set_input_files(library.folder / "rocket.jpg")
    expect(page.get_by_role("status")).to_have_text("Best of 12 items for your picture")
    assert first(page) == "rocket.jpg"
    page.get_by_role("button", name="Search without this picture").click()
    expect(page.get_by_role("status")).to_have_text("12 items")
    dropped = page.evaluate_handle(
        """async (address) => {
            const picture = await (await fetch(address)).blob();
            const brought = new DataTransfer();
            brought.items.add(new File([picture], "mine.jpg", { type: "image/jpeg" }));
            return brought;
        }""",
        f"/page/originals/{library.item('temple.jpg')}",
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": dropped})
    expect(page.get_by_text("Drop the picture")).to_be_visible()
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    expect(page.get_by_text("Drop the picture")).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("Best of 12 items for your picture")
    assert first(page) == "temple.jpg"


def test_what_is_no_picture_is_told_in_words_and_can_be_mended(page: Page, library: Shown) -> None:
    opened(page)
    letter = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Anna"}
    page.get_by_label("Search by a picture of yours").set_input_files(letter)  # type: ignore[arg-type]
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()
    expect(page.locator("#state")).to_contain_text("JPEG, PNG, WebP")
    page.get_by_role("button", name="Search without this picture").click()
    expect(page.get_by_role("status")).to_have_text("12 items")
    page.route("**/page/search", lambda route: route.abort())
    page.get_by_role("searchbox").fill("cat")
    expect(page.locator("#state")).to_contain_text("The service does not answer")
    page.unroute("**/page/search")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".tile").first).to_be_visible()
    page.goto("/?kind=scene&tag=plant")
    expect(page.get_by_role("heading", name="Nothing of this choice")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("status")).to_have_text("12 items")


def test_a_scene_plays_from_its_second(page: Page) -> None:
    opened(page, "/?kind=scene")
    page.locator(".tile").nth(1).click()
    video = page.locator("video")
    expect(video).to_have_attribute("src", re.compile(r"/page/originals/[-0-9a-f]+#t=2\.\d\d$"))
    until(page, "document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').currentTime") >= 2.3
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.locator("video").count() == 0, "it does not go on playing unseen"


def test_names_captions_and_tags_with_markup_are_text(page: Page) -> None:
    opened(page)
    assert page.locator("img[src=x]").count() == 0
    page.get_by_label("Tag").select_option(MARKUP)
    expect(page.get_by_role("status")).to_have_text("1 item of this choice")
    page.locator(".tile").click()
    expect(page.get_by_role("heading", name="A tabby <b>cat</b>")).to_be_visible()
    expect(page.get_by_role("button", name=MARKUP)).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Tag").select_option("")
    page.locator(".tile", has=page.get_by_alt_text(f"{MARKUP}.png")).click()
    expect(page.get_by_role("heading", name=f"{MARKUP}.png")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0


def test_duplicates_side_by_side(page: Page) -> None:
    page.goto("/duplicates")
    expect(page.get_by_role("heading", name="The same bytes")).to_have_count(2)
    group = page.locator(".group", has=page.get_by_text("cat once more.png"))
    left, right = (group.locator("img").nth(n).bounding_box() for n in (0, 1))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]
    assert page.locator("img[src=x]").count() == 0
    page.get_by_label("How alike at least").press("End")
    expect(page.locator("output")).to_have_text("99.5 of 100")


def test_the_map_shows_pictures_and_leads_to_what_is_like_them(page: Page) -> None:
    page.goto("/map")
    expect(page.get_by_role("status")).to_have_text("12 items")
    plane = page.get_by_role("application", name="Map of the library")
    painted = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 1200, 600).data].some(Boolean)"
    until(page, painted)
    plane.focus()
    page.keyboard.press("+")
    card = page.locator("#card")
    expect(card).to_be_visible()
    expect(page.get_by_role("status")).to_have_text(card.text_content() or "")
    box = plane.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] - 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] - 5, steps=3)
    page.mouse.up()
    expect(card).to_be_hidden()
    page.mouse.wheel(0, -300)
    page.keyboard.press("ArrowLeft")
    expect(card).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Best of 12 items for")


def test_advice_is_shown_as_its_report(page: Page, library: Shown) -> None:
    page.goto("/advise")
    expect(page.get_by_label("Beside the works of")).to_have_value("A master")
    page.get_by_label("A photograph of yours").set_input_files(library.folder / "flower.jpg")
    report = page.frame_locator("#report")
    expect(report.get_by_role("heading", name="flower.jpg")).to_be_visible()
    expect(report.get_by_text("Eight dimensions")).to_be_visible()
    background = report.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
    assert background == "rgb(255, 254, 251)", "its own style is let in"
    letter = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Anna"}
    page.get_by_label("A photograph of yours").set_input_files(letter)  # type: ignore[arg-type]
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()


def test_the_status_says_what_there_is(page: Page) -> None:
    page.goto("/status")
    expect(page.get_by_text("12 of 12 items")).to_be_visible()
    expect(page.locator(".figures")).to_contain_text("seemory-mini")
    expect(page.locator(".figures")).to_contain_text("100 %")
    expect(page.get_by_text("None: every file could be read")).to_be_visible()


def test_by_keyboard_alone(page: Page) -> None:
    opened(page)
    page.keyboard.press("/")
    page.keyboard.type("a cat")
    expect(page.get_by_role("status")).to_have_text("Best of 12 items for “a cat”")
    page.keyboard.press("ArrowDown")
    focused = page.locator(":focus")
    expect(focused).to_have_class(re.compile("tile"))
    here = focused.get_attribute("data-index")
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("data-index", str(int(here or 0) + 1))
    assert page.evaluate("getComputedStyle(document.activeElement, '::after').borderTopWidth") == "4px"
    page.keyboard.press("ArrowDown")
    below = int(focused.get_attribute("data-index") or 0)
    assert below > int(here or 0) + 2, "the row below"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    name = page.locator("#viewer-name").text_content()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-name")).not_to_have_text(name or "")
    page.keyboard.press("Escape")
    expect(focused).to_have_attribute("data-index", str(int(here or 0) + 2)), "back where one was"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.get_by_role("status")).to_have_text("12 items")


def test_on_a_phone_in_the_dark(browser: Browser, library: Shown) -> None:
    with browser.new_context(
        base_url=library.address, viewport={"width": 360, "height": 740}, has_touch=True, color_scheme="dark"
    ) as context:
        tab = context.new_page()
        opened(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360, "nothing is wider than the screen"
        dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        tab.get_by_role("button", name="Dark").tap()
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != dark
        tab.reload()
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != dark, "what was chosen is kept"
        tab.locator(".tile").first.tap()
        expect(tab.get_by_role("dialog")).to_be_visible()
        close = tab.get_by_role("button", name="Close").bounding_box()
        assert close is not None
        assert close["x"] + close["width"] <= 360
        tab.get_by_role("button", name="Close").tap()
        expect(tab.get_by_role("dialog")).to_be_hidden()
        for address in ("duplicates", "map", "advise", "status"):
            tab.goto(f"/{address}")
            assert tab.evaluate("document.documentElement.scrollWidth") <= 360, address


def test_the_grid_does_not_jump(page: Page) -> None:
    """Tiles have their places before their pictures are there, and keep them when more come."""
    page.route("**/thumbnail", lambda route: None)  # no picture ever comes
    opened(page)
    places = """[...document.querySelectorAll(".grid li")].map((li) => {
        const { x, y, width, height } = li.getBoundingClientRect();
        return [x, y, width, height].map(Math.round);
    })"""
    before = page.evaluate(places)
    page.unroute("**/thumbnail")
    opened(page)
    until(page, "[...document.querySelectorAll('.tile img')].every((img) => img.complete && img.naturalWidth)")
    assert page.evaluate(places) == before
    right = page.evaluate("document.querySelector('.grid').getBoundingClientRect().right")
    rows = {y for _, y, _, _ in before}
    ends = [max(x + w for x, y, w, _ in before if y == row) for row in sorted(rows)[:-1]]
    assert all(abs(end - right) <= 1 for end in ends), "rows end where the page does"


def test_axe_finds_no_serious_fault(page: Page) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    looked = axe.Axe()

    def faults() -> list[str]:
        page.wait_for_timeout(250)  # transitions of colour have ended
        found = looked.run(page).response["violations"]
        return [
            f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
        ]

    opened(page, "/?q=a+cat")
    assert faults() == []
    page.emulate_media(color_scheme="dark")
    page.locator(".tile").first.click()
    expect(page.locator(".reasons")).to_be_visible()
    expect(page.locator("dl")).to_be_visible()
    assert faults() == []
    page.emulate_media(color_scheme="light")
    for address, shown in (("duplicates", ".group"), ("map", "#how"), ("advise", "#ask"), ("status", ".sheet")):
        page.goto(f"/{address}")
        expect(page.locator(shown).first).to_be_visible()
        assert faults() == [], address


def test_where_a_key_is_needed_one_signs_in_and_out(page: Page, library: Shown) -> None:
    secret, key = Keys(library.memory.database).create(library.memory.owner, "read")
    with serving(library.memory, keys="required") as address:
        page.goto(f"{address}/?q=a+cat")
        page.wait_for_url("**/sign-in?next=*")
        field = page.get_by_label("Key")
        expect(field).to_be_focused()
        field.fill("smy_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("There is no such key, or it was revoked.")
        field.fill(secret)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".tile").first).to_be_visible()
        assert "q=a" in page.url, "where one wanted to go"
        assert page.evaluate("document.cookie") == "", "no script reads it"
        page.goto(f"{address}/status")
        expect(page.get_by_text("Signed in for")).to_contain_text("to look")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        page.goto(f"{address}/sign-in?next=https://attacker.example/")
        page.get_by_label("Key").fill(secret)
        page.keyboard.press("Enter")
        expect(page.locator(".tile").first).to_be_visible()
        assert page.url.startswith(address), "nowhere else"
        Keys(library.memory.database).revoke(str(key.id))
        page.goto(f"{address}/map")
        page.wait_for_url("**/sign-in?next=*")
