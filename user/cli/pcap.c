/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/pcap.h"

#include <errno.h>

#include <pcap/pcap.h>

static void cleanup_pcap(pcap_t **pcap)
{
	if (*pcap)
		pcap_close(*pcap);
}

#define _pcap_ __attribute__((cleanup(cleanup_pcap)))

int shunt_pcap_each(const char *path, shunt_pcap_fn *each, void *self,
		    struct shunt_err *err)
{
	char why[PCAP_ERRBUF_SIZE];
	_pcap_ pcap_t *pcap = pcap_open_offline(path, why);
	struct pcap_pkthdr *head;
	const unsigned char *frame;
	uint64_t number = 0;
	int ret;

	if (!pcap)
		return shunt_fail(err, -EINVAL, "--pcap %s: %s", path, why);
	if (pcap_datalink(pcap) != DLT_EN10MB)
		return shunt_fail(
			err, -EINVAL,
			"--pcap %s: its packets are of link type %s, and Shunt "
			"judges Ethernet frames only",
			path, pcap_datalink_val_to_name(pcap_datalink(pcap)));
	while ((ret = pcap_next_ex(pcap, &head, &frame)) == 1) {
		ret = each(self, ++number, frame, head->caplen, err);
		if (ret)
			return ret;
	}
	if (ret != PCAP_ERROR_BREAK)
		return shunt_fail(err, -EINVAL, "--pcap %s, behind packet %llu: %s",
				  path, (unsigned long long)number, pcap_geterr(pcap));
	return 0;
}
