# SPDX-License-Identifier: BSD-2-Clause
# Takes the generation word out of bpf/lib/datapath.h: a constant of the load stands for it.
s/shunt_ruling(gen) + s->ahead/bench_generation/
s/const struct shunt_gen \*gen, struct shunt_scratch \*s)/struct shunt_scratch *s)/
s/shunt_choose_image(gen, s)/shunt_choose_image(s)/
/^	struct shunt_gen \*gen;/d
/^	gen = bpf_map_lookup_elem/,/goto damaged;/d
