/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Internet checksum, put right where a header changes (RFC 1071, RFC 1624). */
#pragma once

/*
 * A change is a sum of words in one's complement, each new word added and each old one
 * added inverted: equation 3 of RFC 1624, HC' = ~(~HC + ~m + m'), in which, unlike in
 * equation 2, a checksum never becomes 0xffff where it should be 0. Words are taken as
 * they lie in the packet: the sum does not depend on the order of bytes as long as all
 * words have the same. A word starts at an even offset of what is summed.
 *
 * The same code for BPF and the host.
 */
#include "bpf/lib/compiler.h"
#include "maps/type.h"

/* Two bytes of the packet as the word that they are. */
SHUNT_INLINE __u16 shunt_csum_word(__u8 first, __u8 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return first | (__u32)second << 8;
#else
	return (__u32)first << 8 | second;
#endif
}

/* The change from one word to another; far from overflow for any header. */
SHUNT_INLINE __u64 shunt_csum_change16(__u64 change, __u16 from, __u16 to)
{
	return change + (__u16)~from + to;
}

SHUNT_INLINE __u64 shunt_csum_change32(__u64 change, __u32 from, __u32 to)
{
	return change + (__u32)~from + to;
}

/* To 32 bits, as the kernel's helpers take it. */
SHUNT_INLINE __u32 shunt_csum_fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return sum;
}

SHUNT_INLINE __u16 shunt_csum_fold(__u64 sum)
{
	__u32 half = shunt_csum_fold32(sum);

	half = (half & 0xffff) + (half >> 16);
	half = (half & 0xffff) + (half >> 16);
	return half;
}

/* The checksum of what has changed; 0: nothing has, and it stays as it is. */
SHUNT_INLINE __u16 shunt_csum_after(__u16 check, __u64 change)
{
	return change ? (__u16)~shunt_csum_fold((__u16)~check + change) : check;
}

/*
 * As above for UDP: 0 means that there is none, and stays (RFC 768; RFC 6935 for IPv6);
 * one that comes out as 0 is sent as its other form.
 */
SHUNT_INLINE __u16 shunt_csum_after_udp(__u16 check, __u64 change)
{
	__u16 after = shunt_csum_after(check, change);

	if (!check)
		return 0;
	return after ? after : 0xffff;
}
