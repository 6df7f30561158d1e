"""The group `raters`: may write reviews and choose between answers, nothing else."""

from django.db import migrations

NAME = "raters"
MODELS = ("review", "choice")
ACTIONS = ("view", "add", "change")


def make_group(apps, schema_editor):
    """Also right when the group or some of its permissions are there already."""
    group_model = apps.get_model("auth", "Group")
    permission_model = apps.get_model("auth", "Permission")
    type_model = apps.get_model("contenttypes", "ContentType")
    group, _made = group_model.objects.get_or_create(name=NAME)
    for model in MODELS:
        of_model, _made = type_model.objects.get_or_create(app_label="training", model=model)
        for action in ACTIONS:
            # Django makes permissions after all migrations; what is here by then it leaves alone.
            permission, _made = permission_model.objects.get_or_create(
                content_type=of_model, codename=f"{action}_{model}", defaults={"name": f"Can {action} {model}"}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0002_training_loop"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_group, migrations.RunPython.noop)]
