"""Prompts: what to edit, as structured records and as sentences (P 4.2, Table 4)."""

from perse.synthesis.prompts.plan import PAPER_COUNTS, PromptPlan, plan_prompts
from perse.synthesis.prompts.sentences import phrase_of
from perse.synthesis.prompts.stream import prompt_stream
from perse.synthesis.prompts.table import read_prompts_csv
from perse.synthesis.prompts.understanding import Understood, complete_wish, understand, words_beyond
from perse.synthesis.prompts.vocabulary import NATURAL, complete, vocabulary

__all__ = [
    "NATURAL",
    "PAPER_COUNTS",
    "PromptPlan",
    "Understood",
    "complete",
    "complete_wish",
    "phrase_of",
    "plan_prompts",
    "prompt_stream",
    "read_prompts_csv",
    "understand",
    "vocabulary",
    "words_beyond",
]
