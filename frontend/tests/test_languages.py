"""The pages in Chinese: whole, compiled, and said by the script too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from gettext import GNUTranslations
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from annotation.models import Comparison, User

AsUser = Callable[[User], Client]
FOLDER = Path(settings.LOCALE_PATHS[0]) / "zh_Hans" / "LC_MESSAGES"
FRONTEND = Path(__file__).resolve().parent.parent
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9"}


def entries(domain: str) -> dict[str, str]:
    """Sentences of the source file, and what they are in Chinese."""
    text = (FOLDER / f"{domain}.po").read_text(encoding="utf-8").partition("\n\n")[2]
    pattern = r'^msgid "(.*)"\n(?:msgid_plural ".*"\n)?msgstr(?:\[0\])? "(.*)"$'
    return {json.loads(f'"{a}"'): json.loads(f'"{b}"') for a, b in re.findall(pattern, text, re.MULTILINE)}


@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_every_sentence_is_translated_and_compiled(domain: str) -> None:
    with (FOLDER / f"{domain}.mo").open("rb") as file:
        compiled = GNUTranslations(file)
    for sentence, chinese in entries(domain).items():
        assert chinese, sentence
        assert chinese in (
            compiled.gettext(sentence),
            compiled.ngettext(sentence, "", 1),
            compiled.pgettext("date format", sentence),
        )


@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_no_translation_loses_a_value(domain: str) -> None:
    values = re.compile(r"%\(\w+\)s|\{\w+\}")
    for sentence, chinese in entries(domain).items():
        assert set(values.findall(sentence)) <= set(values.findall(chinese)), sentence


def test_every_sentence_of_the_pages_is_known_to_the_catalogue() -> None:
    known = entries("django")
    for template in FRONTEND.glob("templates/**/*.html"):
        for _, sentence in re.findall(
            r"""{% translate (["'])(.*?)\1""", template.read_text(encoding="utf-8")
        ):
            assert sentence in known, template.name


def test_every_sentence_of_the_script_is_known_to_the_catalogue() -> None:
    known = entries("djangojs")
    for script in (FRONTEND / "static" / "frontend" / "workbench").glob("*.js"):
        for sentence in re.findall(
            r"""\bn?gettext\("((?:[^"\\]|\\.)*)\"""", script.read_text(encoding="utf-8")
        ):
            assert sentence in known, script.name


def test_a_chinese_browser_gets_chinese_pages(ada: User, as_user: AsUser) -> None:
    page = as_user(ada).get("/", headers=CHINESE).content.decode()
    assert '<html lang="zh-hans">' in page
    assert "欢迎" in page


def test_the_script_gets_its_sentences_in_chinese_and_none_in_english(ada: User, as_user: AsUser) -> None:
    def words(headers: dict[str, str] | None = None) -> dict[str, str]:
        page = as_user(ada).get("/rate", headers=headers).content.decode()
        boot = page.partition('id="boot" type="application/json">')[2].partition("</script>")[0]
        found: dict[str, str] = json.loads(boot)["words"]
        return found

    assert words(CHINESE)["You are offline."] == "您已离线。"
    assert words() == {}


def test_a_language_once_chosen_stays(ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    assert client.post("/language", {"language": "zh-hans", "next": "/"}).status_code == 302
    assert "退出" in client.get("/").content.decode()


def test_choosing_a_language_never_leads_to_another_site(ada: User, as_user: AsUser) -> None:
    answer = as_user(ada).post("/language", {"language": "zh-hans", "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_the_admin_stays_english(rosa: User, as_user: AsUser) -> None:
    page = as_user(rosa).get("/admin/", headers=CHINESE).content.decode()
    assert '<html lang="en' in page


def test_errors_are_told_in_the_persons_language(
    ada: User, as_user: AsUser, pairs: Callable[..., list[Comparison]]
) -> None:
    answer = as_user(ada).get("/api/v1/me/judgments/00000000-0000-0000-0000-000000000000", headers=CHINESE)
    assert answer.json()["detail"] == "没有您的这条判断，或您之后已修改过它。"  # noqa: RUF001
