"""ranking.yaml and experiments.yaml (ranking.md sections 3 to 8, orchestration.md)."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from catalog.frozen import Frozen, FrozenMap, JsonMap
from catalog.model.base import ActionKind, Bool, Duration, Id, Int, Model, Number, Percent, Share, Text, Token
from catalog.model.policies import Scope

ArmOrder = Literal[
    "full", "universal", "random", "random_propensity", "no_lever", "propensity_only", "eligibility_only"
]


class Transform(Model):
    """How a value becomes columns. Written `log2` or `{onehot: [..]}`, `{hash: 4}`, `{bins: [1, 7, 30]}`."""

    kind: Literal["linear", "log2", "bool", "bins", "onehot", "hash"]
    edges: tuple[Int, ...] = ()
    values: tuple[str, ...] = ()
    buckets: Int | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and "kind" not in value and len(value) == 1:
            [(kind, argument)] = value.items()
            return {"kind": kind, {"bins": "edges", "onehot": "values", "hash": "buckets"}.get(kind, kind): argument}
        return value

    @property
    def columns(self) -> int:
        """Columns it yields, without the missing one."""
        counted = {"bins": len(self.edges) + 1, "onehot": len(self.values), "hash": self.buckets or 0}
        return counted.get(self.kind, 1)


class FeatureReason(Model):
    """The message ids that explain a high and a low value."""

    up: str
    down: str


class RankingFeature(Model):
    """A model's input: an attribute, scaled or split into indicator columns."""

    id: Token
    source: Id = Field(alias="from")
    transform: Transform = Transform(kind="linear")
    center: Number = Decimal(0)
    scale: Number = Decimal(1)
    missing_column: Bool = False
    scope: Literal["request", "candidate"] = "request"
    reason: FeatureReason | None = None


class Shrinkage(Model):
    """Prior strength of each level of the hierarchy."""

    global_: Number = Field(default=Decimal(10), alias="global")
    group: Number = Decimal(10)
    action: Number = Decimal(10)


class RankingModel(Model):
    """A family of per-action models. `actions` selects them by kind, group or id."""

    id: Token
    kind: Literal["linear", "nb"]
    actions: Scope
    features: tuple[Token, ...]
    base_rate: Number
    shrinkage: Shrinkage = Field(default=Shrinkage(), alias="lambda")
    v: Number = Decimal("0.1")
    window: Int = Field(default=26, ge=1, le=520)


class ContextWeight(Model):
    """`percent` is added to the context weight of the actions in scope while `when` holds."""

    id: Id
    when: JsonMap
    scope: Scope
    percent: Percent


class Levers(Model):
    """Business levers in percent, above those of the actions themselves."""

    issue: Frozen[Token, Percent] = FrozenMap()
    group: Frozen[Token, Percent] = FrozenMap()


class Exploration(Model):
    """How much may be spent on learning. `epsilon` and `ramp_floor` are basis points."""

    epsilon: Share = 100
    ramp_floor: Share = 200
    ramp_positives: Int = Field(default=200, ge=1)
    cap_per_day: Number = Decimal(0)
    kinds: tuple[ActionKind, ...] = ("offer",)


class Ranking(Model):
    """Arbitration: models, weights, levers, exploration, and the static order used when ranking is down."""

    features: tuple[RankingFeature, ...] = ()
    models: tuple[RankingModel, ...] = ()
    context_weights: tuple[ContextWeight, ...] = ()
    levers: Levers = Levers()
    exploration: Exploration = Exploration()
    static_order: tuple[Token, ...] = ()


class Arm(Model):
    """One arm: `order` of ranking.md section 8, and treatment variants by action."""

    name: Token
    share: Share
    order: ArmOrder = "full"
    variants: Frozen[Token, Token] = FrozenMap()


class Experiment(Model):
    """Arms by hash of (experiment, subject). `audience` limits who takes part; a holdout measures the whole."""

    id: Token
    title: Text
    owner: Token
    hypothesis: Text
    metric: Text
    holdout: Bool = False
    audience: JsonMap | None = None
    arms: tuple[Arm, ...] = Field(min_length=2)
    duration: Duration | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sum(arm.share for arm in self.arms) != 10_000:
            raise ValueError("the arms' shares must add up to 10000 basis points")
        return self
