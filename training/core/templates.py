"""The chat templates that a policy may be given instead of its own.

Knows prompt formats and the tokens they need. Must not know weights or files.
"""

from __future__ import annotations

from typing import Final

from transformers import PreTrainedTokenizerBase

from annotation.core.records import Message
from rewardmodel.core.backbone import encode_prompt, encode_response
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.tiny import CHATML, END, TURN

# "<s>[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{user} [/INST] {answer} </s>", the prompt format published with
# the models of Touvron et al. 2023. Texts are stripped: sampled ones begin with the space after [/INST].
LLAMA2: Final = (
    "{% if messages and messages[0]['role'] == 'system' %}"
    "{% set system = '<<SYS>>\n' + (messages[0]['content'] | trim) + '\n<</SYS>>\n\n' %}"
    "{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for turn in turns %}"
    "{% if turn['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + (turn['content'] | trim) + ' [/INST]' }}"
    "{% else %}{{ ' ' + (turn['content'] | trim) + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)


def choose_template(tokenizer: PreTrainedTokenizerBase, template: str) -> None:
    """Set the chat template, and with ChatML the token that ends a turn.

    Raises:
        RunFailedError: if the vocabulary lacks what the template needs: an untrained token would be noise.
    """
    if template == "model":
        if not tokenizer.chat_template:
            raise RunFailedError("the model has no chat template; choose chatml or llama2")
    elif template == "chatml":
        if not {TURN, END} <= tokenizer.get_vocab().keys():
            raise RunFailedError(f"the vocabulary lacks {TURN} or {END}, which chatml needs; choose llama2")
        tokenizer.chat_template, tokenizer.eos_token = CHATML, END
    else:
        if tokenizer.bos_token is None or tokenizer.eos_token is None:
            raise RunFailedError("the tokenizer has no BOS or EOS token, which llama2 needs; choose chatml")
        tokenizer.chat_template = LLAMA2


def try_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Encode a dialogue as training, scoring and sampling will, to learn now what would fail then.

    Raises:
        ValueError: see encode_response.
    """
    question: Message = {"role": "user", "content": "Hello"}
    answer: Message = {"role": "assistant", "content": "Hi"}
    for messages in ([question], [question, answer, question]):
        encode_prompt(tokenizer, messages)
        encode_response(tokenizer, messages, "Hi")
