/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/text.h"

/*
 * Can this kernel and this process run the sockmap lane? Three sources answer: the version (bugs that lose or
 * duplicate bytes and leave no other trace), the kernel's type information (fixes that left a trace), and the
 * process' capabilities. The loopback self-test (selftest.h) decides last.
 */
struct probe_version {
	uint32_t major, minor, patch; /* of the upstream release that the kernel is built from */
};

/*
 * The upstream version behind a distribution kernel. release: uname -r; version_text: /proc/version;
 * signature: /proc/version_signature (Ubuntu), empty where it does not exist. Returns 0, or -EINVAL if none
 * of them has a version.
 */
int probe_parse_version(const char *release, const char *version_text, const char *signature,
			struct probe_version *ret_version);

/* NULL: usable. Otherwise the reason, a static string. */
const char *probe_judge_version(const struct probe_version *version);

/*
 * Checks version and type information of the running kernel. 0: usable; -EOPNOTSUPP: `why` lists every
 * reason.
 */
int probe_kernel(struct text *why);

/*
 * The same for the same-host lanes (local.h), which need less of the receive side and more of the send side:
 * the use of freed memory by concurrent senders (CVE-2026-74589) was fixed in 6.18.45, 6.12.104, 6.6.152 and
 * 6.1.183. With is_forced a refused version is only reported.
 */
const char *probe_judge_local_version(const struct probe_version *version);
int probe_local_kernel(bool is_forced, struct text *why);

/*
 * The capabilities that loading needs. After sockmap_load() the process needs none of them; opening pins
 * needs none.
 */
struct probe_capability {
	int number; /* CAP_... */
	const char *name;
	const char *needed_for;
};

#define PROBE_CAPABILITIES 3
extern const struct probe_capability probe_capabilities[PROBE_CAPABILITIES];
/*
 * Returns 0, or -EPERM: `why` names what is missing and the remedy. CAP_SYS_ADMIN includes the first and
 * third.
 */
int probe_privileges(struct text *why);

/* `why` for a reader: "; " ends each reason, because another may follow; the last one loses it here. */
struct span probe_reasons(const struct text *why);
