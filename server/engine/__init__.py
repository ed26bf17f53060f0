"""A fitted estimator to an evaluator: rows of codes in, numbers out. No JSON, no labels."""

from server.engine.choice import EngineReport, choose
from server.engine.evaluator import Evaluation, Evaluator
from server.engine.fallback import FallbackEvaluator

__all__ = ["EngineReport", "Evaluation", "Evaluator", "FallbackEvaluator", "choose"]
