/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/text.h"

/*
 * May this kernel, and this process, run the sockmap lane? Three sources: the version (bugs that lose or
 * double bytes and leave no trace elsewhere), the kernel's type information (fixes that left one), and the
 * process' capabilities. The loopback self-test (selftest.h) has the last word.
 */
struct probe_version {
	uint32_t major, minor, patch; /* of the upstream release the kernel is built from */
};

/*
 * The upstream version behind a distribution kernel. release: uname -r; version_text: /proc/version;
 * signature: /proc/version_signature (Ubuntu), empty where it does not exist. 0, or -EINVAL: no version in
 * there.
 */
int probe_parse_version(const char *release, const char *version_text, const char *signature,
			struct probe_version *ret_version);

/* NULL: sound. Else why not; a static string. */
const char *probe_judge_version(const struct probe_version *version);

/* Version and type information of the running kernel. 0: usable; -EOPNOTSUPP: `why` lists every reason. */
int probe_kernel(struct text *why);

/*
 * The same for the same-host lanes (near.h), which need less of the receive side and more of the send side:
 * freed memory used by concurrent senders (CVE-2026-74589) was fixed in 6.18.45, 6.12.104, 6.6.152 and
 * 6.1.183. With is_forced a refused version is only noted.
 */
const char *probe_judge_near_version(const struct probe_version *version);
int probe_near_kernel(bool is_forced, struct text *why);

/* What loading needs. Nothing of it is needed any more once gate_load() has returned; pins need none. */
struct probe_capability {
	int number; /* CAP_... */
	const char *name;
	const char *needed_for;
};

#define PROBE_CAPABILITIES 3
extern const struct probe_capability probe_capabilities[PROBE_CAPABILITIES];
/* 0, or -EPERM: `why` names what is missing, and the remedy. CAP_SYS_ADMIN stands for the first and third. */
int probe_privileges(struct text *why);
