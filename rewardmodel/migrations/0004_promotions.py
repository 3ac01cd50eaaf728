import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def promote_the_newest(apps, schema_editor):
    """Until now the newest version of a focus was the one that was used: it is current."""
    versions = apps.get_model('rewardmodel', 'RewardModelVersion').objects
    promotions = apps.get_model('rewardmodel', 'Promotion').objects
    for focus in sorted(set(versions.values_list('focus', flat=True))):
        newest = versions.filter(focus=focus).order_by('-created_at', '-pk').first()
        promotions.create(version=newest, focus=focus, number=1, how='first')


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0004_data_for_everybody'),
        ('rewardmodel', '0003_resident_scorers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('focus', models.CharField(choices=[('helpfulness', 'helpfulness'), ('safety', 'safety')], max_length=32)),
                ('number', models.PositiveIntegerField(help_text='Within its focus, counted from 1.')),
                ('how', models.CharField(choices=[('first', 'first'), ('rule', 'rule'), ('override', 'override'), ('rollback', 'rollback')], max_length=32)),
                ('reason', models.TextField(blank=True, help_text='Why, in the words of whoever did it.')),
                ('evidence', models.JSONField(default=dict, help_text='The comparison with `previous` as it was then.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('previous', models.ForeignKey(blank=True, help_text='What was current before.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rewardmodel.rewardmodelversion')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='promotions', to='rewardmodel.rewardmodelversion')),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='RewardModelComparison',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('run', models.CharField(help_text='Uid of the run that compared them.', max_length=36, unique=True)),
                ('figures', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('against', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rewardmodel.rewardmodelversion')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='annotation.snapshot')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='comparisons', to='rewardmodel.rewardmodelversion')),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.UniqueConstraint(fields=('focus', 'number'), name='promotion_number_once'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('focus__in', ['helpfulness', 'safety'])), name='promotion_focus_is_legal'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('how__in', ['first', 'rule', 'override', 'rollback'])), name='promotion_how_is_legal'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('how', 'override'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='promotion_override_has_a_reason'),
        ),
        migrations.RunPython(promote_the_newest, migrations.RunPython.noop),
    ]
