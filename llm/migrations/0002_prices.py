from datetime import date
from decimal import Decimal

from django.db import migrations

# USD per million tokens: prompt, cached prompt, answer, training. OpenAI's public list (standard tier) as of this
# day. Prices change: the admin shows how old they are and asks for a look at the provider's list.
CHECKED_ON = date(2025, 6, 3)
PRICES = {
    "openai:gpt-4o": ("2.50", "1.25", "10.00", "25.00"),
    "openai:gpt-4o-mini": ("0.15", "0.075", "0.60", "3.00"),
    "openai:gpt-4o-mini-2024*": ("0.15", "0.075", "0.60", "3.00"),
    "openai:gpt-4.1": ("2.00", "0.50", "8.00", "25.00"),
    "openai:gpt-4.1-2025*": ("2.00", "0.50", "8.00", "25.00"),
    "openai:gpt-4.1-mini": ("0.40", "0.10", "1.60", "5.00"),
    "openai:gpt-4.1-mini-2025*": ("0.40", "0.10", "1.60", "5.00"),
    "openai:gpt-4.1-nano": ("0.10", "0.025", "0.40", "1.50"),
    "openai:gpt-4.1-nano-2025*": ("0.10", "0.025", "0.40", "1.50"),
    "openai:ft:gpt-4o-2024-08-06*": ("3.75", "1.875", "15.00", None),
    "openai:ft:gpt-4o-mini*": ("0.30", "0.15", "1.20", None),
    "openai:ft:gpt-4.1-2025*": ("3.00", "0.75", "12.00", None),
    "openai:ft:gpt-4.1-mini*": ("0.80", "0.20", "3.20", None),
    "openai:ft:gpt-4.1-nano*": ("0.20", "0.05", "0.80", None),
}


def add(apps, schema_editor):
    Price = apps.get_model("llm", "Price")
    for model, (prompt, cached, answer, training) in PRICES.items():
        Price.objects.get_or_create(
            model=model,
            defaults={
                "prompt": Decimal(prompt),
                "cached_prompt": Decimal(cached),
                "completion": Decimal(answer),
                "training": None if training is None else Decimal(training),
                "checked_on": CHECKED_ON,
            },
        )


class Migration(migrations.Migration):
    """List prices of OpenAI's models, to be checked by the admin."""

    dependencies = [("llm", "0001_calls_prices_limits")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
