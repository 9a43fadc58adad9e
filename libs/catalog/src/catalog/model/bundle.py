"""The bundle: the whole catalog as one immutable value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal, Protocol, Self, TypeVar

from catalog.attributes import AttributeInfo, attribute_table
from catalog.expression import Expression, parse
from catalog.frozen import Frozen, FrozenMap
from catalog.model.actions import Action, Treatment
from catalog.model.bank import Bank, Channel, Journey, Placement
from catalog.model.base import Category, Int, Locale, Model, Token
from catalog.model.data import Attribute, Derived, Feature, Segment
from catalog.model.golden import GoldenCase
from catalog.model.policies import ContactLimit, ContactPolicy, HelpFirst, Pack, Permission, Rule
from catalog.model.purposes import Notice, Purpose, Recipient, Regime
from catalog.model.ranking import Experiment, Ranking
from catalog.model.signals import EventType, SignalDefinition
from catalog.needs import all_needs
from catalog.values import ValueType


class _Named(Protocol):
    @property
    def id(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _by_id(items: Iterable[N]) -> Mapping[str, N]:
    return FrozenMap({item.id: item for item in items})


class Bundle(Model):
    """Everything the bank can say, and who allowed it. Lists keep the order of the files; ids are unique per list."""

    format: Literal[1] = 1
    bank: Bank
    regimes: tuple[Regime, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    purposes: tuple[Purpose, ...]
    notices: tuple[Notice, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    features: tuple[Feature, ...] = ()
    derived: tuple[Derived, ...] = ()
    segments: tuple[Segment, ...] = ()
    channels: tuple[Channel, ...] = ()
    placements: tuple[Placement, ...] = ()
    journeys: tuple[Journey, ...] = ()
    sets: Frozen[Token, tuple[str | Int, ...]] = FrozenMap()
    event_types: Frozen[Token, EventType] = FrozenMap()
    signals: tuple[SignalDefinition, ...] = ()
    actions: tuple[Action, ...] = ()
    rules: tuple[Rule, ...] = ()
    contact_policies: tuple[ContactPolicy, ...] = ()
    contact_limits: tuple[ContactLimit, ...] = ()
    help_first: HelpFirst = HelpFirst()
    packs: tuple[Pack, ...] = ()
    ranking: Ranking = Ranking()
    experiments: tuple[Experiment, ...] = ()
    messages: Frozen[Locale, str] = FrozenMap()
    cases: tuple[GoldenCase, ...] = ()

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """A changed copy, without what was derived from the old content."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    @cached_property
    def purpose(self) -> Mapping[str, Purpose]:
        """Purposes by id."""
        return _by_id(self.purposes)

    @cached_property
    def channel(self) -> Mapping[str, Channel]:
        """Channels by id."""
        return _by_id(self.channels)

    @cached_property
    def placement(self) -> Mapping[str, Placement]:
        """Placements by id."""
        return _by_id(self.placements)

    @cached_property
    def signal(self) -> Mapping[str, SignalDefinition]:
        """Signal definitions by id."""
        return _by_id(self.signals)

    @cached_property
    def action(self) -> Mapping[str, Action]:
        """Actions by id."""
        return _by_id(self.actions)

    @cached_property
    def treatment(self) -> Mapping[str, Treatment]:
        """Treatments of all actions by id."""
        return _by_id(treatment for action in self.actions for treatment in action.treatments)

    @cached_property
    def active_packs(self) -> tuple[Pack, ...]:
        """The packs that bank.yaml pins."""
        return tuple(pack for pack in self.packs if pack.id in self.bank.packs)

    @cached_property
    def all_rules(self) -> tuple[Rule, ...]:
        """The bank's rules, then those of its packs, in file order."""
        return self.rules + tuple(rule for pack in self.active_packs for rule in pack.rules)

    @cached_property
    def permissions(self) -> Mapping[str, Permission]:
        """Permissions of the active packs by id."""
        return _by_id(permission for pack in self.active_packs for permission in pack.permissions)

    @property
    def default_regimes(self) -> tuple[str, ...]:
        """The regimes that every consent check applies."""
        return self.bank.regimes or tuple(regime.id for regime in self.regimes[:1])

    @cached_property
    def critical_steps(self) -> tuple[str, ...]:
        """Steps that journeys mark as critical: what `$critical_steps` stands for."""
        return tuple(sorted({step.id for journey in self.journeys for step in journey.steps if step.critical}))

    @cached_property
    def needs(self) -> Mapping[str, frozenset[Category]]:
        """The data categories each signal needs."""
        return all_needs(self)

    @cached_property
    def table(self) -> Mapping[str, AttributeInfo]:
        """Every attribute that may be read, with type, categories and prohibited tags."""
        return attribute_table(self)

    @cached_property
    def types(self) -> Mapping[str, ValueType]:
        """The attributes' types, as `expression.parse` takes them."""
        return FrozenMap({name: info.type for name, info in self.table.items()})

    def expression(self, data: object) -> Expression:
        """A rule's `require`, a segment's or weight's `when`, an audience: typed. Raises ExpressionInvalid."""
        return parse(data, self.types)
