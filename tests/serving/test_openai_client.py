"""OpenAI's own client, unchanged: what it gets, and what is refused so that it understands."""

from typing import get_type_hints

import openai
import pytest
from openai.types import completion_create_params as completion_params
from openai.types.chat import completion_create_params as chat_params

from clinprompt.backbones.protocol import Generation, Placement
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.schema.example import Answer, Example
from clinprompt.serving.completions import CompletionRequest
from clinprompt.stages.configs import DecodingSettings

NOTE = "Took aspirin 81 mg daily.\r\nDenies chest pain 😀."


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server[1]}/v1", api_key="none", max_retries=0) as made:
        yield made


def alone(server, name, *, tokens=12, **how):
    """The raw answer of the local engine, without the blank in front."""
    found = server[0].prompts.snapshot.promoted[name]
    predictor = found.opened.predictor(DecodingSettings(), tokens=tokens)
    example = Example("x", {"note": NOTE}, Answer(), "x")
    question = Question(example, found.task, found.prompt.vectors, Placement(found.banked.card.placement))
    assert isinstance(predictor, Predictor)
    engine = LocalEngine(found.opened.backbone)
    [answer] = server[0].engine.call(lambda: engine.answers([predictor.request(question)], Generation(tokens, **how)))
    return answer


def ask(client, name, **more):
    return client.completions.create(model=name, prompt=NOTE, **more)


def test_models_are_the_prompts_of_the_bank(client, server):
    listed = {one.id: one for one in client.models.list()}
    assert set(listed) == set(server[0].prompts.snapshot.promoted) and len(listed) == 7
    assert listed["meds"].task["kind"] == "entities" and listed["meds"].versions == [1]
    assert client.models.retrieve("meds@1").id == "meds@1"
    assert listed["meds"].created > 1_700_000_000
    with pytest.raises(openai.NotFoundError, match="meds"):
        client.models.retrieve("med")


@pytest.mark.parametrize("name", ["meds", "sum", "first", "doses@1"])
def test_a_completion_is_the_answer_of_the_local_engine(client, server, name):
    found, expected = ask(client, name, max_tokens=30), alone(server, name.partition("@")[0], tokens=30)
    assert found.choices[0].text == expected.text.removeprefix(" ")
    assert found.choices[0].finish_reason == ("length" if expected.truncated else "stop")
    assert found.usage.completion_tokens == expected.tokens and found.usage.prompt_tokens > len(NOTE)
    assert found.model == f"{name.partition('@')[0]}@1"


def test_several_notes_are_answered_as_each_alone(client):
    found = client.completions.create(model="sum", prompt=[NOTE, "fever"], max_tokens=8)
    single = client.completions.create(model="sum", prompt="fever", max_tokens=8)
    assert [one.index for one in found.choices] == [0, 1]
    assert found.choices[1].text == single.choices[0].text != found.choices[0].text


def test_chat_says_the_same(client):
    plain = ask(client, "sum", max_tokens=10).choices[0].text
    for content in (NOTE, [{"type": "text", "text": NOTE[:9]}, {"type": "text", "text": NOTE[9:]}]):
        found = client.chat.completions.create(
            model="sum", messages=[{"role": "user", "content": content}], max_completion_tokens=10, temperature=0
        )
        assert found.choices[0].message.content == plain and found.choices[0].message.role == "assistant"
        assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_streams_say_what_whole_answers_say(client):
    whole = ask(client, "sum", max_tokens=10)
    pieces = list(ask(client, "sum", max_tokens=10, stream=True, stream_options={"include_usage": True}))
    assert "".join(one.choices[0].text for one in pieces if one.choices) == whole.choices[0].text
    assert sum(bool(one.choices and one.choices[0].text) for one in pieces) > 3
    assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert pieces[-1].choices == [] and pieces[-1].usage == whole.usage
    chunks = list(
        client.chat.completions.create(
            model="sum", messages=[{"role": "user", "content": NOTE}], max_tokens=10, stream=True, logprobs=True
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant" and all(one.usage is None for one in chunks)
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == whole.choices[0].text
    tokens = [token for one in chunks if one.choices[0].logprobs for token in one.choices[0].logprobs.content]
    assert len(tokens) == whole.usage.completion_tokens


def test_log_probabilities_are_those_of_the_network(client, server):
    expected = alone(server, "sum", tokens=10)
    told = ask(client, "sum", max_tokens=10, logprobs=3).choices[0].logprobs
    assert told.token_logprobs == pytest.approx(expected.chances, abs=1e-4)
    assert len(told.tokens) == len(told.top_logprobs) == len(told.text_offset) == expected.tokens
    assert told.text_offset == sorted(told.text_offset) and told.text_offset[0] == 0
    # A free answer is greedy: the token written is the likeliest (some tokens of bytes have the same name).
    assert all(
        max(best.values()) == pytest.approx(one)
        for best, one in zip(told.top_logprobs, told.token_logprobs, strict=True)
    )
    chat = client.chat.completions.create(
        model="sum", messages=[{"role": "user", "content": NOTE}], max_tokens=10, logprobs=True, top_logprobs=2
    )
    tokens = chat.choices[0].logprobs.content
    assert [one.logprob for one in tokens] == pytest.approx(expected.chances, abs=1e-4)
    assert all(len(one.top_logprobs) == 2 for one in tokens)


def test_stop_and_seed_and_temperature_are_honoured(client, server):
    whole = ask(client, "sum", max_tokens=20).choices[0].text
    stop = whole[5:7]
    cut = ask(client, "sum", max_tokens=20, stop=[stop, "never"])
    assert cut.choices[0].text == whole[: whole.index(stop)] and cut.choices[0].finish_reason == "stop"
    drawn = [ask(client, "sum", max_tokens=20, temperature=1.0, top_p=0.9, seed=seed) for seed in (5, 5, 6)]
    texts = [one.choices[0].text for one in drawn]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0] == alone(server, "sum", tokens=20, temperature=1.0, top_p=0.9, seed=5).text.removeprefix(" ")


NEUTRAL = {
    "frequency_penalty": 0, "presence_penalty": 0, "logit_bias": {}, "logprobs": False, "top_logprobs": 0, "n": 1,
    "metadata": {"ward": "3"}, "modalities": ["text"], "store": False, "user": "ann", "safety_identifier": "5f0c",
    "prompt_cache_key": "notes", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"},
    "prediction": {"type": "content", "content": "fever"}, "reasoning_effort": "none", "verbosity": "medium",
    "response_format": {"type": "text"}, "service_tier": "auto", "tools": [], "tool_choice": "auto",
    "parallel_tool_calls": True, "functions": [], "function_call": "none", "stop": [], "seed": 1, "temperature": 0,
    "top_p": 1, "max_tokens": 10, "max_completion_tokens": 10, "audio": None, "moderation": None,
    "web_search_options": None, "stream": True,
    "stream_options": {"include_usage": False, "include_obfuscation": False},
}  # fmt: skip
"""Every parameter of OpenAI's client besides model and messages, with a value that changes nothing."""


def parameters(kind):
    return {name for name in get_type_hints(kind) if name not in ("model", "messages", "prompt")}


def test_every_parameter_of_the_client_may_be_sent_with_the_value_that_changes_nothing(client):
    assert parameters(chat_params.CompletionCreateParamsStreaming) == set(NEUTRAL)
    assert parameters(completion_params.CompletionCreateParamsStreaming) <= set(CompletionRequest.model_fields)
    asked = {"model": "sum", "messages": [{"role": "user", "content": NOTE, "name": "ann"}]}
    plain = client.chat.completions.create(**asked, max_tokens=10).choices[0].message.content
    said = client.chat.completions.create(**asked, **NEUTRAL)
    assert "".join(one.choices[0].delta.content or "" for one in said) == plain
    nothing = dict.fromkeys(NEUTRAL, None) | {"max_tokens": 10, "service_tier": "default"}
    assert client.chat.completions.create(**asked, **nothing).choices[0].message.content == plain


CHAT_NOT_HONOURED = [
    {"service_tier": "priority"}, {"store": True}, {"reasoning_effort": "high"}, {"verbosity": "low"},
    {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tool_choice": "required"},
    {"functions": [{"name": "f"}]}, {"function_call": {"name": "f"}}, {"response_format": {"type": "json_object"}},
    {"modalities": ["text", "audio"]}, {"audio": {"voice": "ash", "format": "mp3"}}, {"web_search_options": {}},
    {"moderation": {"model": "m"}}, {"n": 2}, {"top_logprobs": 2},
    {"stream": True, "stream_options": {"include_obfuscation": True}},
]  # fmt: skip


@pytest.mark.parametrize("more", CHAT_NOT_HONOURED, ids=[list(one)[-1] for one in CHAT_NOT_HONOURED])
def test_what_would_change_the_answer_of_a_chat_is_refused_and_named(client, more):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="sum", messages=[{"role": "user", "content": NOTE}], **more)
    assert list(more)[-1] in caught.value.body["message"] and caught.value.code == "invalid_parameter"


NOT_HONOURED = [
    ({"n": 2}, "n"), ({"echo": True}, "echo"), ({"best_of": 3}, "best_of"), ({"suffix": "x"}, "suffix"),
    ({"presence_penalty": 0.5}, "presence_penalty"), ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"temperature": 3}, "temperature"), ({"max_tokens": 100_000}, "max_tokens"), ({"logprobs": 50}, "logprobs"),
    ({"stream_options": {"include_usage": True}}, "stream_options"), ({"extra_body": {"top_k": 3}}, "top_k"),
    ({"extra_body": {"inputs": {"question": ["a"]}}}, "inputs"), ({"stop": ["a"] * 5}, "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "param"), NOT_HONOURED, ids=[param for _, param in NOT_HONOURED])
def test_what_cannot_be_honoured_is_refused_and_named(client, more, param):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "sum", **more)
    assert param in caught.value.param and caught.value.type == "invalid_request_error"
    assert param in caught.value.body["message"] or param == "inputs"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Answer in French."}, {"role": "user", "content": NOTE}],
        [{"role": "user", "content": "a"}, {"role": "user", "content": NOTE}],
        [{"role": "assistant", "content": "a"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}],
    ],
)
def test_messages_that_cannot_be_honoured_are_refused(client, messages):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="sum", messages=messages)
    assert NOTE not in str(caught.value)


def test_errors_are_those_that_the_client_knows(client):
    with pytest.raises(openai.NotFoundError, match="meds") as caught:
        ask(client, "mods")
    assert caught.value.code == "model_not_found" and caught.value.type == "not_found_error"
    for name in ("meta/llama", "gpt 4", "a" * 100, "meds@0", "x/y/z"):
        for asked in (lambda name=name: ask(client, name), lambda name=name: client.models.retrieve(name)):
            with pytest.raises(openai.NotFoundError) as caught:
                asked()
            assert caught.value.code == "model_not_found" and name not in str(caught.value)
    with pytest.raises(openai.UnprocessableEntityError, match="2048") as caught:
        client.completions.create(model="sum", prompt="fever " * 2000)
    assert caught.value.code == "unusable" and "fever fever" not in str(caught.value)
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="sum", prompt=[1, 2, 3])
    with pytest.raises(openai.BadRequestError, match="options"):
        ask(client, "flag")
    found = ask(client, "flag", extra_body={"inputs": {"options": ["sodium", "potassium"]}})
    assert found.choices[0].text in ("A", "B")
