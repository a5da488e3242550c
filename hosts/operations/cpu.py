"""Computing the common CPU of the cluster."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.cpu import Kind, digest, inputs
from hosts.models import ClusterCpu, Host
from jobs.errors import Failed
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from ui import live
from virt import baseline
from virt.connection import connect
from virt.errors import HostUnreachable, VirtError
from virt.xml.tree import BadXml


@register
class ComputeCommonCpu(Operation):
    """Ask libvirt for the best CPU that all hosts of a kind can give (a baseline), and keep it for new VMs."""

    name = "hosts.common_cpu"
    verb = gettext_lazy("Compute the common CPU")
    permission = "hosts.manage"

    def locks(self) -> list[Lock]:
        return [Lock("cluster:cpu")]

    def run(self, run: Run) -> dict[str, Any]:
        """Raises Failed if there is no common CPU of some kind: nobody answers, or nothing in common."""
        kinds = inputs()
        for row in ClusterCpu.objects.all():
            if (row.arch, row.domain_type) not in kinds:
                row.delete()
        found = {f"{arch} {domain_type}": self._compute(run, (arch, domain_type)) for arch, domain_type in kinds}
        live.publish("hosts")
        problems = [f"{kind}: {error}" for kind, (_model, error) in found.items() if error]
        if problems:
            raise Failed(" ".join(problems))
        return {"models": {kind: model for kind, (model, _error) in found.items()}}

    def _compute(self, run: Run, kind: Kind) -> tuple[str, str]:
        """Compute and store for one kind; returns the model and what went wrong, one of them empty."""
        arch, domain_type = kind
        hosts = inputs().get(kind, [])
        values: dict[str, Any] = {"inputs_digest": digest(hosts), "computed_at": timezone.now(), "error": ""}
        try:
            spec, each = _ask_first_that_answers(run, hosts, kind)
        except (Failed, VirtError, BadXml) as error:
            values |= {"model": "", "vendor": "", "features": [], "xml": "", "hosts": {}}
            values["error"] = str(getattr(error, "message", error))
            if isinstance(error, Failed):  # nobody was there to compute: it is to be tried again
                values["inputs_digest"] = ""
        else:
            values |= {"model": spec.model, "vendor": spec.vendor, "xml": baseline.document(spec), "hosts": each}
            values["features"] = [[feature.policy, feature.name] for feature in spec.features]
            run.log(_("%(arch)s, %(type)s: %(model)s") % {"arch": arch, "type": domain_type, "model": spec.model})
        ClusterCpu.objects.update_or_create(arch=arch, domain_type=domain_type, defaults=values)
        return str(values.get("model", "")), str(values["error"])


def _ask_first_that_answers(
    run: Run, hosts: list[Host], kind: Kind
) -> "tuple[baseline.cpu.CpuSpec, dict[str, dict[str, Any]]]":
    """Any host of the kind can compute for all; the one that is up first in line does."""
    arch, domain_type = kind
    for host in sorted(hosts, key=lambda host: not host.is_up):
        uri = host.target.shown_uri
        run.command(
            "virsh", "-c", uri, "hypervisor-cpu-baseline", "--virttype", domain_type, "--migratable", "CPUS.xml"
        )
        try:
            with connect(host.target) as conn:
                spec = baseline.baseline(conn, arch, domain_type, [one.cpu_xml for one in hosts])
                common = baseline.feature_names(conn, arch, domain_type, baseline.document(spec))
                each = {}
                for one in hosts:
                    has = baseline.feature_names(conn, arch, domain_type, one.cpu_xml)
                    model = baseline.cpu.parse(one.cpu_xml).model
                    each[str(one.pk)] = {"model": model, "unused": sorted(has - common)}
                return spec, each
        except HostUnreachable as silent:
            run.warn(f"{host}: {silent.message}")
    raise Failed(_("None of the hosts answers."))
