"""Methods on encoders in a few steps, for tests."""

from clinprompt.stages.configs import (
    PromptSettings,
)
from clinprompt.stages.methods import (
    Budget,
    FineTuning,
    HardPrompt,
    Lora,
    PromptTuning,
    SoftPromptUnfrozen,
)

SHORT = Budget(steps=2, batch=2, rates=(1e-3,), dev_limit=2)
BEST = Budget(steps=2, batch=2, rates=(0.1, 0.3), keep="best", dev_every=1, dev_limit=2)
PROMPT = PromptSettings(length=4, placement="prefix")
METHODS = {
    "fine-tuning": FineTuning(budget=SHORT),
    "hard-prompt": HardPrompt(budget=SHORT),
    "soft-prompt-unfrozen": SoftPromptUnfrozen(budget=SHORT),
    "soft-prompt-unfrozen, every": SoftPromptUnfrozen(budget=SHORT, layers="every", placement="suffix"),
    "prompt-tuning": PromptTuning(budget=BEST),
    "prompt-tuning, every": PromptTuning(budget=SHORT, layers="every"),
    "prompt-tuning, apart": PromptTuning(budget=BEST, placement="apart"),
    "prompt-tuning, every, apart": PromptTuning(budget=SHORT, layers="every", placement="apart"),
    "prompt-tuning, mlp": PromptTuning(budget=SHORT, encoder="mlp"),
    "prompt-tuning, lstm": PromptTuning(budget=SHORT, encoder="lstm"),
    "lora": Lora(rank=2, budget=SHORT),
}
