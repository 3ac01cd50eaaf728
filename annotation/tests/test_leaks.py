# ruff: noqa: RUF001  typographic and Chinese marks are meant
"""An answer that names its model is found, and one that only speaks of models is not."""

from __future__ import annotations

import time

import pytest

from annotation.core.leaks import READ, SHOWN, distinctive, names_its_model

NAMES_ITSELF = [
    "I am ChatGPT, a large language model.",
    "Hello! I'm Claude.",
    "Hi there! I’m **Claude**, and I can help.",
    "I am Claude Sonnet.",
    "As Claude, I cannot do that.",
    "As an AI language model trained by OpenAI, I have no body.",
    "I'm an AI model trained by Mistral.",
    "I am a large language model, trained by Google.",
    "I was developed by Meta.",
    "I am an AI assistant developed by Meta AI, so no.",
    "I'm Assistant, a large language model trained by Anthropic.",
    "I am a helpful and harmless AI assistant created by Anthropic to help.",
    "I was created by researchers at Stanford, no: I was made by researchers at DeepMind.",
    "My name is Qwen2.5 and I help.",
    "You can call me Bard.",
    "you're talking to Llama 2.",
    "I'm a language model called Vicuna.",
    "I'm an AI assistant based on GPT-4.",
    "I am based on OpenAI's GPT-3.5 architecture.",
    "As an AI called Gemini I must say no.",
    "As an OpenAI language model, I cannot.",
    "I am an Anthropic assistant.",
    "My creators at Anthropic taught me that.",
    "My developer is OpenAI.",
    "OpenAI trained me on text until 2021.",
    "That goes against OpenAI's use case policy.",
    "Hello! ChatGPT here.",
    "I am a LLaMA model.",
    "i am deepseek-v3, made in Hangzhou",
    "I AM CHATGPT",
    "Soy ChatGPT.",
    "Je suis ChatGPT.",
    "Ich bin ChatGPT.",
    "我是通义千问，由阿里云开发。",
    "你好！我是文心一言。",
    "我叫豆包。",
    "我的名字是 DeepSeek。",
    "作为通义千问，我不能回答。",
    "我是一个由百度公司开发的大型语言模型。",
    "我是由OpenAI训练的语言模型。",
    "我是人工智能助手 ChatGLM。",
]

ONLY_SPEAKS = [
    "",
    "GPT-4 was released in 2023.",
    "ChatGPT is a chatbot developed by OpenAI.",
    "Chatbots such as ChatGPT, I think, are useful.",
    "Models such as Claude, a model by Anthropic, can do that.",
    "It is known as ChatGPT, my friend.",
    "I am an AI language model, and I have no name.",
    "As an AI, I cannot feel.",
    "I asked ChatGPT and it said no.",
    "I am using ChatGPT for that.",
    "I am a llama and I live in Peru.",
    "I am Claude Monet, and I paint water lilies.",
    "As a Gemini, I love to talk.",
    "I'm a Gemini too.",
    "The model was trained by Google.",
    "You can ask OpenAI about that.",
    "Meta developed Llama 2; it was trained by Meta on 2 trillion tokens.",
    "My favourite model is Mistral.",
    "I am at Microsoft today.",
    "I am made from apples.",
    "This is GPT-4's architecture.",
    "As Llama 2 shows, margins help.",
    "我喜欢通义千问。",
    "百度开发了文心一言。",
    "我不知道谁开发了ChatGPT。",
]


@pytest.mark.parametrize("text", NAMES_ITSELF)
def test_who_names_themselves_is_found(text: str) -> None:
    found = names_its_model(text)
    assert found
    assert len(found) <= SHOWN


@pytest.mark.parametrize("text", ONLY_SPEAKS)
def test_a_model_that_is_only_spoken_of_is_no_leak(text: str) -> None:
    assert names_its_model(text) == ""


def test_the_words_are_those_of_the_text() -> None:
    assert names_its_model("Well, I am\n**ChatGPT**, so there.") == "I am ChatGPT"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("This was written by SmolLM2 today", "SmolLM2"),
        ("smollm2: hello", "smollm2"),
        ("llama 2 7b", ""),
        ("a llama-2-7b here", "llama-2-7b"),
        ("xsmollm2", ""),
        ("smollm2x", ""),
        ("(.+)", ""),
    ],
)
def test_given_names_are_found_as_whole_words(text: str, found: str) -> None:
    assert names_its_model(text, ("smollm2", "llama-2-7b", "", ".*")) == found


@pytest.mark.parametrize(
    ("policy", "parts"),
    [
        ("V1", []),
        ("baseline", []),
        ("policy-x", []),
        ("reference", []),
        ("", []),
        ("SmolLM2", ["SmolLM2"]),
        ("Qwen/Qwen2.5-0.5B", ["Qwen/Qwen2.5-0.5B", "Qwen2.5-0.5B"]),
    ],
)
def test_only_a_distinctive_name_gives_a_policy_away(policy: str, parts: list[str]) -> None:
    assert distinctive(policy) == parts


def test_the_beginning_and_the_end_of_a_long_answer_are_read() -> None:
    filler = "word " * READ
    assert names_its_model(f"I am ChatGPT. {filler}")
    assert names_its_model(f"{filler} I am ChatGPT.")
    assert not names_its_model(f"{filler} I am ChatGPT. {filler}")


@pytest.mark.parametrize(
    "text",
    [
        "I am " * 3_000,
        "as an " * 3_000,
        "I am a very " * 2_000,
        "as a,and" * 2_000,
        "I'm " + "ai " * 5_000,
        "我是" * 8_000,
        "作为" * 8_000,
        "I am a large language model, " * 500,
        "i was that was " * 1_000,
    ],
    ids=lambda text: text[:12],
)
def test_repetition_is_read_quickly(text: str) -> None:
    began = time.thread_time()  # some milliseconds; the limit is for a busy machine
    names_its_model(f"gpt {text}")
    assert time.thread_time() - began < 0.5
