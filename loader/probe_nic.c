/* SPDX-License-Identifier: BSD-2-Clause */
/* An interface's rows. */
#include <stdio.h>

#include "loader/owner.h"
#include "loader/probe.h"

#define say(...) snprintf(detail, SHUNT_PROBE_DETAIL, __VA_ARGS__)

static enum shunt_probe_answer flag(const struct shunt_probe *probe, uint64_t bit,
				    char *detail)
{
	if (!probe->nic.knows_xdp) {
		say("kernels before 6.3 do not tell: attach finds it out");
		return SHUNT_PROBE_UNKNOWN;
	}
	return probe->nic.xdp & bit ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer xdp_native(const struct shunt_probe *probe, char *detail)
{
	return flag(probe, SHUNT_NIC_XDP_BASIC, detail);
}

static enum shunt_probe_answer xdp_redirect(const struct shunt_probe *probe,
					    char *detail)
{
	return flag(probe, SHUNT_NIC_XDP_REDIRECT, detail);
}

static enum shunt_probe_answer xdp_target(const struct shunt_probe *probe, char *detail)
{
	return flag(probe, SHUNT_NIC_XDP_TARGET, detail);
}

static enum shunt_probe_answer xdp_frags(const struct shunt_probe *probe, char *detail)
{
	say("MTU %u", probe->nic.mtu);
	return flag(probe, SHUNT_NIC_XDP_FRAGS, detail);
}

static enum shunt_probe_answer zerocopy(const struct shunt_probe *probe, char *detail)
{
	return flag(probe, SHUNT_NIC_XDP_ZEROCOPY, detail);
}

static enum shunt_probe_answer xdp_free(const struct shunt_probe *probe, char *detail)
{
	if (!probe->nic.xdp_prog)
		return SHUNT_PROBE_YES;
	shunt_owner_describe(probe->nic.xdp_prog, detail);
	return SHUNT_PROBE_NO;
}

static enum shunt_probe_answer vlan_in_frame(const struct shunt_probe *probe,
					     char *detail)
{
	const struct shunt_nic *nic = &probe->nic;

	if (!nic->vlan_known) {
		say("the peer decides, which lives in another network namespace");
		return SHUNT_PROBE_UNKNOWN;
	}
	say("%s is %s", nic->veth ? "the peer's tx-vlan-offload" : "rx-vlan-offload",
	    nic->vlan_beside ? "on" : "off");
	return nic->vlan_beside ? SHUNT_PROBE_NO : SHUNT_PROBE_YES;
}

static enum shunt_probe_answer vlan_tag(const struct shunt_probe *probe, char *detail)
{
	if (!probe->nic.knows_xdp)
		return flag(probe, 0, detail);
	return probe->nic.meta & SHUNT_NIC_META_VLAN ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer peer_napi(const struct shunt_probe *probe, char *detail)
{
	const struct shunt_nic *nic = &probe->nic;

	if (!nic->veth) {
		say("not a veth");
		return SHUNT_PROBE_YES;
	}
	if (!nic->peer_here) {
		say("the peer lives in another network namespace");
		return SHUNT_PROBE_UNKNOWN;
	}
	say("the peer is interface %u", nic->peer);
	return nic->peer_napi ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer queues(const struct shunt_probe *probe, char *detail)
{
	int n = __builtin_popcountll(probe->nic.queues);

	if (probe->nic.queues_max)
		say("%d of at most %u", n, probe->nic.queues_max);
	else
		say("%d", n);
	return n > 1 ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer ntuple(const struct shunt_probe *probe, char *detail)
{
	const struct shunt_nic *nic = &probe->nic;
	const char *set = !nic->ntuple_known ? "unknown to this kernel"
			  : nic->ntuple.on   ? "on"
					     : "off";

	if (!nic->has_ntuple) {
		say("the driver has no table of filters");
		return SHUNT_PROBE_NO;
	}
	if (nic->places)
		say("%s%s, %u of %u places are taken", set,
		    nic->ntuple.fixed ? " (fixed)" : "", nic->places_taken,
		    nic->places);
	else
		say("%s%s, %u places are taken", set,
		    nic->ntuple.fixed ? " (fixed)" : "", nic->places_taken);
	return nic->ntuple_known && !nic->ntuple.on ? SHUNT_PROBE_NO : SHUNT_PROBE_YES;
}

static enum shunt_probe_answer rss(const struct shunt_probe *probe, char *detail)
{
	if (!probe->nic.indirection) {
		say("the driver shows no table from hashes to queues");
		return SHUNT_PROBE_NO;
	}
	say("a table of %u entries", probe->nic.indirection);
	return SHUNT_PROBE_YES;
}

static enum shunt_probe_answer cpus(const struct shunt_nic_cpus *set, char *detail)
{
	if (!set->known) {
		say("this kernel, or an interface with one queue, has no such setting");
		return SHUNT_PROBE_UNKNOWN;
	}
	say("%s", set->text);
	return set->any ? SHUNT_PROBE_YES : SHUNT_PROBE_NO;
}

static enum shunt_probe_answer rps(const struct shunt_probe *probe, char *detail)
{
	return cpus(&probe->nic.rps, detail);
}

static enum shunt_probe_answer xps(const struct shunt_probe *probe, char *detail)
{
	return cpus(&probe->nic.xps, detail);
}

const struct shunt_probe_row shunt_probe_nic[] = {
	{ "xdp-native",
	  "packets are judged in the driver; attach falls back to generic XDP, several "
	  "times slower",
	  xdp_native },
	{ "xdp-free",
	  "an interface has room for one XDP program: have its owner take it off, or "
	  "use tc-ingress",
	  xdp_free },
	{ "xdp-redirect",
	  "rules that redirect work in native XDP; without it their packets are lost",
	  xdp_redirect },
	{ "xdp-target",
	  "other interfaces' rules can redirect packets to this one, as it is now; "
	  "many "
	  "drivers want an XDP program here first, a veth wants GRO on",
	  xdp_target },
	{ "xdp-frags",
	  "frames that do not fit one buffer are judged; without it native XDP wants "
	  "an MTU that fits a page",
	  xdp_frags },
	{ "af-xdp-zerocopy",
	  "consumers get packets without a copy; they are copied otherwise", zerocopy },
	{ "queues", "receive queues share the work; with one, one CPU does all of it",
	  queues },
	{ "ntuple",
	  "consumers with \"steer\" get their flows into their own queues; otherwise a "
	  "hash spreads them, and those of other queues go the if_down way",
	  ntuple },
	{ "rss", "`ethtool -X INTERFACE` says which queues flows are spread over",
	  rss },
	{ "rps",
	  "the stack's work for a queue is given to other CPUs than the one that polls "
	  "it: \"queues\" of a policy sets it",
	  rps },
	{ "xps",
	  "a CPU's packets leave by queues of its own; at a veth that is the queue "
	  "that "
	  "its peer receives them in. \"queues\" of a policy sets it",
	  xps },
	{ "vlan-in-frame",
	  "where VLAN tags are taken off, the hook xdp does not see them: a rule that "
	  "matches vlan misses there, and what is redirected or sent back has lost "
	  "its tag. `ethtool -K INTERFACE rxvlan off` leaves them on (for a veth: "
	  "txvlan off on its peer); tc-ingress sees them anyway",
	  vlan_in_frame },
	{ "vlan-tag-metadata",
	  "the driver tells an XDP program which tag it has taken off", vlan_tag },
	{ "veth-peer-napi",
	  "a veth delivers what XDP sends back or redirects only to a peer that runs "
	  "NAPI, and loses it otherwise: on the peer, `ethtool -K PEER gro on`, or "
	  "attach a program there",
	  peer_napi },
	{ NULL },
};
