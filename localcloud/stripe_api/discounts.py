"""Coupons, promotion codes, and the discounts that come of them."""

from __future__ import annotations

from typing import ClassVar

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.periods import add
from localcloud.stripe_api.resource import Resource, blank


class Coupons(Resource):
    """``/v1/coupons``."""

    kind = "coupon"
    path = "coupons"
    params = "Coupon"
    prefix = ""
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "update", "list", "delete"})

    def make(self, params: Thing) -> Thing:
        """Return a coupon's fields; its id may be given."""
        if "id" in params and self.account.find("coupon", params["id"]):
            raise invalid("Coupon already exists.", "id", "resource_already_exists")
        if ("percent_off" in params) == ("amount_off" in params):
            raise invalid("You must pass either percent_off or amount_off.", "percent_off")
        if not 0 < params.get("percent_off", 50) <= 100:  # noqa: PLR2004 - per cent
            raise invalid("Invalid percent_off: must be between 0 and 100", "percent_off")
        if "amount_off" in params and "currency" not in params:
            raise invalid("You must pass currency when passing amount_off.", "currency")
        duration = params.get("duration", "once")
        if duration == "repeating" and "duration_in_months" not in params:
            raise invalid("You must specify duration_in_months.", "duration_in_months")
        applies = params.pop("applies_to", None)
        return {
            **blank("amount_off currency duration_in_months max_redemptions name percent_off redeem_by"),
            "duration": duration,
            "times_redeemed": 0,
            "valid": True,
            "id": self.account.new_id("", 8),
            **params,
            "metadata": params.get("metadata") or {},
            **({"_applies_to": applies} if applies else {}),
        }


class PromotionCodes(Resource):
    """``/v1/promotion_codes``."""

    kind = "promotion_code"
    path = "promotion_codes"
    params = "PromotionCode"
    prefix = "promo_1"
    filters = ("active", "code", "customer")

    def make(self, params: Thing) -> Thing:
        """Return a promotion code's fields; the code is made up if it isn't given."""
        coupon = self.account.need("coupon", params["promotion"].get("coupon", ""), "promotion[coupon]")
        code = params.get("code") or self.account.new_id("", 8).upper()
        self._refuse_namesake(code)
        most = params.get("max_redemptions")
        if most and coupon["max_redemptions"] and most > coupon["max_redemptions"]:
            raise invalid("max_redemptions can't be above the coupon's.", "max_redemptions")
        return {
            "active": True,
            **blank("customer expires_at max_redemptions"),
            "restrictions": {"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None},
            "times_redeemed": 0,
            **params,
            "code": code,
            "promotion": {"coupon": coupon["id"], "type": "coupon"},
            "metadata": params.get("metadata") or {},
        }

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change a code; it can be switched on while nothing else has its name and its coupon is good."""
        if params.get("active") and not thing["active"]:
            self._refuse_namesake(thing["code"])
            if not self.account.need("coupon", thing["promotion"]["coupon"])["valid"]:
                raise invalid("This promotion code can't be activated as its coupon is no longer valid.", "active")
        thing.update(params)

    def _refuse_namesake(self, code: str) -> None:
        for each in self.account.all("promotion_code"):
            if each["code"].lower() == code.lower() and each["active"]:
                raise invalid(f"An active promotion code with `code: {code}` already exists.", "code")

    def choose(self, thing: Thing, params: Thing) -> bool:
        """Return whether the list wants a code; codes are compared without regard to case."""
        rest = {name: value for name, value in params.items() if name != "code"}
        code = params.get("code", thing["code"]).lower()
        coupon = params.get("coupon", thing["promotion"]["coupon"])
        return super().choose(thing, rest) and thing["code"].lower() == code and thing["promotion"]["coupon"] == coupon


def usable(account: Account, wish: Thing, param: str = "discounts") -> tuple[Thing, Thing | None]:
    """Return the coupon, and the promotion code if it is one, that somebody wants to use.

    Args:
        account: Whose coupons.
        wish: ``{"coupon": id}``, ``{"promotion_code": id}`` or ``{"code": "LAUNCH"}``.
        param: Named in refusals.

    Raises:
        ApiError: there is none, or it is used up, expired or off.
    """
    promotion = None
    if "code" in wish:
        codes = [each for each in account.all("promotion_code") if each["code"].lower() == wish["code"].lower()]
        promotion = next((each for each in codes if each["active"]), None)
        if promotion is None:
            raise invalid("This code is invalid.", param, "resource_missing")
    elif wish.get("promotion_code"):
        promotion = account.need("promotion_code", wish["promotion_code"], f"{param}[promotion_code]")
    coupon = account.need("coupon", promotion["promotion"]["coupon"] if promotion else wish.get("coupon", ""), param)
    if promotion and not (promotion["active"] and _has_room(promotion, account.now(), "expires_at")):
        raise invalid("This promotion code is expired or used up.", param, "promotion_code_expired")
    if not (coupon["valid"] and _has_room(coupon, account.now(), "redeem_by")):
        raise invalid(f"Coupon expired: {coupon['id']}", param, "coupon_expired")
    return coupon, promotion


def redeem(account: Account, coupon: Thing, promotion: Thing | None, customer: str, **where: object) -> Thing:
    """Use a coupon up by one and return the discount."""
    valid = True
    for thing, kind in ((coupon, "coupon"), (promotion, "promotion_code")):
        if thing is None:
            continue
        used = {**thing, "times_redeemed": thing["times_redeemed"] + 1}
        if kind == "coupon":
            valid = used["valid"] = _has_room(used, account.now(), "redeem_by")
        else:  # active only as long as its coupon is good: https://docs.stripe.com/api/promotion_codes/object
            used["active"] = valid and used["active"] and _has_room(used, account.now(), "expires_at")
        account.change(used, f"{kind}.updated")
    end = None
    if coupon["duration"] == "repeating":
        end = add(account.now(), "month", coupon["duration_in_months"])
    discount = {
        **account.new("discount", "di_1", start=account.now(), end=end, customer=customer),
        **blank("checkout_session invoice invoice_item subscription subscription_item"),
        "promotion_code": promotion["id"] if promotion else None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        **where,
    }
    del discount["created"], discount["livemode"]
    return account.add(discount, "customer.discount.created")


def amount_off(account: Account, discount: Thing, amount: int) -> int:
    """Return how many cents a discount takes off an amount; half a cent counts as one."""
    coupon = account.need("coupon", discount["source"]["coupon"])
    off = int(amount * coupon["percent_off"] / 100 + 0.5) if coupon["percent_off"] else coupon["amount_off"]
    return max(0, min(amount, off))


def _has_room(thing: Thing, now: int, until: str) -> bool:
    most, end = thing["max_redemptions"], thing[until]
    return (most is None or thing["times_redeemed"] < most) and (end is None or end > now)
