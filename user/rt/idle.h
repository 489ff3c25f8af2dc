/* SPDX-License-Identifier: BSD-2-Clause */
/* What to do when nothing is to do: spin, sleep, or one after the other. */
#pragma once

/* The spinning ones want a core that their traffic's softirq does not use. */
enum shunt_wait {
	SHUNT_WAIT_ADAPTIVE, /* spin for a moment, then sleep in poll() */
	SHUNT_WAIT_POLL,     /* sleep at once: least CPU */
	SHUNT_WAIT_SPIN,     /* never sleep: least latency */
};
