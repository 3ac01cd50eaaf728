# ruff: noqa: RUF001  typographic and Chinese marks are meant
"""Whether an answer gives away who wrote it: a model that names itself or its maker unblinds the pair.

Knows names of well-known models and makers, and how models speak of themselves. Must not know rows. A model that is
only spoken of ("GPT-4 was released in 2023") gives nothing away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

READ: Final = 4_000  # characters at the beginning and at the end: models name themselves there
SHOWN: Final = 100
# Names that say nothing: words that any answer may hold.
GENERIC: Final = frozenset(
    {
        "assistant",
        "baseline",
        "candidate",
        "chosen",
        "control",
        "human",
        "initial",
        "model",
        "policy",
        "reference",
    }
)

_MODELS: Final = (
    r"chat ?gpt(?:[- ]?\d[\w.]*)?|gpt-?\s?\d[\w.]*(?:[- ]turbo)?|(?:code ?|text-)?davinci(?:-\d+)?|claude(?: \d[\d.]*)?"
    r"(?: (?:instant|opus|sonnet|haiku))?|gemini(?: (?:pro|ultra|nano|flash))?|gemma|bard|lamda|(?:code ?)?llama"
    r"(?:[- ]?\d[\d.]*)?|vicuna|alpaca|koala|(?:mistral|mixtral)(?: ?(?:large|small|medium|nemo))?|le chat|qwen[\w.-]*|"
    r"deep ?seek[\w.-]*|chatglm[\w.-]*|glm-\d[\w.]*|baichuan[\w.-]*|internlm[\w.-]*|yi-\d+b|ernie(?: bot)?|doubao|"
    r"kimi|minimax|hunyuan|tongyi(?: qianwen)?|falcon|open ?assistant|dolly|mpt-\d+b|phi-\d[\w.]*|bing chat|"
    r"(?:github |microsoft )?copilot|grok(?:-\d[\w.]*)?|command[- ]r\+?|olmo[\w.-]*|tulu[\w.-]*|tülu[\w.-]*|"
    r"smollm[\w.-]*|zephyr|nous[- ]hermes|stablelm|bloomz?|jurassic-\d"
)
_MAKERS: Final = (
    r"open ?ai|anthropic|google(?: deepmind| ai)?|deepmind|meta(?: ai| platforms)?|facebook(?: ai)?|microsoft|"
    r"mistral(?: ai)?|alibaba(?: cloud| group)?|tongyi lab|deep ?seek|zhipu(?: ?ai)?|moonshot(?: ai)?|baidu|tencent|"
    r"bytedance|minimax|cohere|ai21(?: labs)?|xai|apple|amazon|nvidia|ibm|hugging ?face|stability ai|databricks|"
    r"mosaicml|eleutherai|laion|the technology innovation institute|allen institute for ai|ai2|lmsys|nous research|"
    r"inflection(?: ai)?|shanghai ai lab(?:oratory)?|tsinghua university"
)
_KIND: Final = (
    r"(?:an? |the )?(?:(?:very |helpful|friendly|large|artificial|virtual|open[- ]source|powerful|new|conversational|"
    r"generative|digital|multilingual|safe|harmless|honest|,|and) ?){0,6}"
    r"(?:ai|a\.i\.|artificial intelligence|language|llm|chat ?bot|assistant|model|bot|program|system)"
    r"(?:[ -](?:ai|language|assistant|model|chat ?bot|bot|program|system|based|powered)){0,4}"
)
_MADE: Final = (
    r"(?:(?:that (?:is|was|has been) |which (?:is|was) |who was |recently |originally |jointly |being )?"
    r"(?:made|built|created|developed|trained|designed|released|fine-?tuned|powered|offered|owned|"
    r"maintained|operated)(?: and [a-z]+ed)? by|from|by)"
)
# Some names are also words or people: "I am a llama", "as a Gemini, I", "I am Claude Monet".
_ALSO: Final = (
    r"(?!(?:gemini|bard|falcon|koala|alpaca|llama|vicuna|dolly)"
    r"(?! (?:model|language|ai\b|chat|assistant|based)))"
)
_PERSON: Final = r"(?!claude (?-i:[A-Z])(?!(?:onnet|pus|aiku|nstant)\b))"
_NAME: Final = rf"{_PERSON}(?P<name>(?:{_MODELS})(?!\w))"
_A_NAME: Final = rf"(?:the |an? {_ALSO})?{_NAME}"
_MAKER: Final = rf"(?P<maker>(?:researchers at |engineers at |the team at |a team at )?(?:{_MAKERS})(?!\w))"
_I_AM: Final = r"\bi(?: am|['’]m)"
_AS: Final = r"(?<!such )(?<!known )(?<!well )\b(?:as|being)"
# One pattern for each way to speak of oneself; every repetition is bounded, so each is linear in the text.
_SELF: Final = (
    rf"{_I_AM}(?: (?:called|named|actually|just|only|also|still|currently|known as))? {_A_NAME}",
    rf"\b(?:my name is|my name['’]s|you can call me|you are talking to|you['’]re talking to) {_A_NAME}",
    rf"{_I_AM} {_KIND},? (?:called |named |known as ){_NAME}",
    rf"{_I_AM}(?: {_KIND},?)? (?:based|built|running) (?:up)?on (?:the |an? )?(?:(?:{_MAKERS})['’]s )?{_NAME}",
    rf"{_AS} {_NAME},? (?:i|my)\b",
    rf"{_AS} {_KIND},? (?:called |named |known as ){_NAME}",
    rf"\bi(?: am|['’]m| was|['’]ve been| have been)(?: \w+,)?(?: {_KIND},?)? {_MADE} {_MAKER}",
    rf"{_AS} {_KIND},? {_MADE} {_MAKER}",
    rf"(?:{_AS}|{_I_AM}) (?:an? |the )?{_MAKER}(?:['’]s)? (?:large )?(?:ai|language model|model|assistant|chat ?bot)\b",
    rf"\bmy (?:creators?|developers?|makers?|trainers?|parent company)(?: is| are| at|,|:) {_MAKER}",
    rf"\b(?P<maker>(?:{_MAKERS})) (?:has )?(?:created|trained|developed|made|built|designed|programmed) me\b",
    rf"\bagainst (?P<maker>(?:{_MAKERS}))['’]s (?:use|usage|content)[ -]",
    rf"^(?:hi|hello|hey)(?: there)?[,!.]? {_NAME} here\b",
    rf"\b(?:soy|je suis|ich bin|sono|eu sou|ik ben|jestem|я|я —) {_NAME}",
)
_NAMES_ZH: Final = (
    r"通义千问|千问|文心一言|豆包|讯飞星火|星火|混元|智谱清言|百川|书生|紫东太初|"
    rf"深度求索|月之暗面|{_MODELS}"
)
_MAKERS_ZH: Final = (
    r"阿里(?:巴巴|云)?\w{0,6}|百度|腾讯|字节跳动|华为|科大讯飞|智谱(?:AI)?|月之暗面|深度求索|谷歌|微软|"
    rf"清华大学|上海人工智能实验室|{_MAKERS}"
)
_SELF_ZH: Final = (
    rf"我(?:是|叫|名叫|的名字是|的名字叫)[^，。！？\n]{{0,12}}?(?P<name>{_NAMES_ZH})",
    rf"(?:作为|身为)[^，。！？\n]{{0,8}}?(?P<name>{_NAMES_ZH})[^。！？\n]{{0,12}}?我",
    rf"我是[^。！？\n]{{0,12}}?由?(?P<maker>{_MAKERS_ZH})[^。！？\n]{{0,12}}?(?:开发|研发|训练|创建|推出|打造)",
)
_PATTERNS: Final = tuple(re.compile(p, re.IGNORECASE) for p in (*_SELF, *_SELF_ZH))


def _stems(names: str) -> frozenset[str]:
    """Of each name the longest part that it cannot lack, to see quickly that a text holds none of them."""
    while (fewer := re.sub(r"\(\?:[^()]*\)\??", " ", names)) != names:
        names = fewer
    plain = re.sub(r"\[[^]]*\]\*?|\\\w(?:\{[^}]*\}|\+)?|\\.\??|.\?", " ", names)
    return frozenset(max(name.split(), key=len) for name in plain.split("|") if name.strip())


# "(?:mistral|mixtral)(…)?" is a group as a whole, so its names are given once more.
_STEMS: Final = tuple(_stems(f"{_NAMES_ZH}|{_MAKERS_ZH}") | {"mixtral"})


def names_its_model(text: str, names: Iterable[str] = ()) -> str:
    """The words by which `text` names its model or maker, or one of `names` as whole words; "" if there are none."""
    read = text if len(text) <= 2 * READ else f"{text[:READ]}\n{text[-READ:]}"
    read = " ".join(read.replace("*", "").replace("_", " ").split())
    lowered = read.lower()
    for pattern in _PATTERNS if any(stem in lowered for stem in _STEMS) else ():
        if found := pattern.search(read):
            return found[0][:SHOWN]
    for name in names:
        spaced = " ".join(name.replace("_", " ").split())
        if spaced.lower() not in lowered:
            continue
        whole = rf"(?<!\w){re.escape(spaced)}(?!\w)"
        if spaced and (found := re.search(whole, read, re.IGNORECASE)):
            return found[0][:SHOWN]
    return ""


def distinctive(policy: str) -> list[str]:
    """The parts of a policy's name that would give it away: not "V1" or "baseline", which answers hold by chance."""
    parts = dict.fromkeys((policy, policy.rsplit("/", 1)[-1]))
    return [part for part in parts if len(part) >= 5 and part.lower() not in GENERIC and _is_made_up(part)]


def _is_made_up(name: str) -> bool:
    """A name, not an English word: it has a digit or a capital within."""
    return any(c.isdigit() for c in name) or any(c.isupper() for c in name[1:])
