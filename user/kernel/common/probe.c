/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/common/probe.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "user/base/check.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

const struct probe_capability probe_capabilities[PROBE_CAPABILITIES] = {
	{ CAP_BPF, "CAP_BPF", "loading programs and creating maps" },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN", "sock maps and programs that redirect between sockets" },
	{ CAP_PERFMON, "CAP_PERFMON", "reading TCP sequence numbers and queue sizes in the program" },
};

/* ---------------------------------------------------------------------------------------- version */

/* "6.12.34..." -> 6, 12, 34; the patch level may be missing. */
static bool version_scan(const char *text, struct probe_version *ret_version)
{
	struct probe_version v = { 0 };
	int fields = sscanf(text, "%u.%u.%u", &v.major, &v.minor, &v.patch);

	if (fields < 2 || v.major == 0)
		return false;
	*ret_version = v;
	return true;
}

int probe_parse_version(const char *release, const char *version_text, const char *signature,
			struct probe_version *ret_version)
{
	/* "Ubuntu 6.8.0-60.63-generic 6.8.12": the last word is the upstream base. */
	const char *last = strrchr(signature, ' ');
	/* "... #1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)"; uname -r says 6.1.0-37. */
	const char *debian = strstr(version_text, " Debian ");

	if (last && version_scan(last + 1, ret_version))
		return 0;
	if (debian && version_scan(debian + strlen(" Debian "), ret_version))
		return 0;
	return version_scan(release, ret_version) ? 0 : -EINVAL;
}

/*
 * Partial sends were repeated from their first byte (fixed upstream by 3b4f14b79428): the first fixed release
 * of each series. A series between two rows never got the fix.
 */
static const struct probe_version first_sound[] = {
	{ 6, 1, 142 }, { 6, 6, 94 }, { 6, 12, 34 }, { 6, 15, 3 }, { 6, 16, 0 },
};

const char *probe_judge_version(const struct probe_version *v)
{
	const struct probe_version *newest = &first_sound[ARRAY_LEN(first_sound) - 1];

	if (v->major > newest->major || (v->major == newest->major && v->minor >= newest->minor))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(first_sound); i++) {
		const struct probe_version *row = &first_sound[i];

		if (v->major == row->major && v->minor == row->minor)
			return v->patch >= row->patch ? NULL
						      : "this release of the series duplicates redirected "
							"bytes after a partial send; update it";
	}
	if (v->major < 6 || (v->major == 6 && v->minor < 1))
		return "older than 6.1";
	return "this series never got the fix for duplicate bytes after partial sends; use 6.1, 6.6, 6.12 or "
	       "6.16 and later";
}

/* First release of each series in which concurrent senders do not use freed memory (CVE-2026-74589). */
static const struct probe_version first_sound_near[] = {
	{ 6, 1, 183 },
	{ 6, 6, 152 },
	{ 6, 12, 104 },
	{ 6, 18, 45 },
};

const char *probe_judge_local_version(const struct probe_version *v)
{
	for (size_t i = 0; i < ARRAY_LEN(first_sound_near); i++) {
		const struct probe_version *row = &first_sound_near[i];

		if (v->major == row->major && v->minor == row->minor)
			return v->patch >= row->patch
				       ? NULL
				       : "concurrent senders use freed memory (CVE-2026-74589, fixed in "
					 "6.18.45, 6.12.104, 6.6.152 and 6.1.183); update it";
	}
	return "this series is not known to have the fix of CVE-2026-74589; use 6.1, 6.6, 6.12 or 6.18";
}

static void file_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return;
	if (!fgets(line, size, file))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

static bool version_is_usable(const char *(*judge)(const struct probe_version *version), bool is_forced,
			      struct text *why)
{
	struct utsname name;
	struct probe_version version;
	char text[256], signature[128];
	const char *refusal;

	if (uname(&name))
		return false;
	file_line("/proc/version", text, sizeof(text));
	file_line("/proc/version_signature", signature, sizeof(signature));
	if (probe_parse_version(name.release, text, signature, &version)) {
		text_fmt(why, "cannot parse kernel version %s; ", name.release);
		return is_forced;
	}
	refusal = judge(&version);
	if (!refusal)
		return true;
	text_fmt(why, "kernel %u.%u.%u: %s%s; ", version.major, version.minor, version.patch, refusal,
		 is_forced ? " (ignored: forced)" : "");
	return is_forced;
}

/* ---------------------------------------------------------------------------------------- types */

#define NO_BTF "the kernel has no type information (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF); "

static bool struct_has(const struct btf *btf, const char *name, const char *member, const char *type_name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	if (!type)
		return false;
	const struct btf_member *members = btf_members(type);
	for (uint16_t i = 0; i < btf_vlen(type); i++) {
		if (strcmp(btf__name_by_offset(btf, members[i].name_off), member) != 0)
			continue;
		if (!type_name)
			return true;
		const struct btf_type *inner = btf__type_by_id(btf, members[i].type);
		return inner && strcmp(btf__name_by_offset(btf, inner->name_off), type_name) == 0;
	}
	return false;
}

static bool has_function(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

static bool types_are_usable(struct text *why)
{
	struct btf *btf = btf__load_vmlinux_btf();
	size_t before = why->len;

	if (!btf) {
		text_str(why, NO_BTF);
		return false;
	}
	if (!has_function(btf, "tcp_bpf_recvmsg_parser"))
		text_str(why, "the kernel has no sock maps with receive verdicts (CONFIG_NET_SOCK_MSG, "
			      "CONFIG_BPF_STREAM_PARSER); ");
	else if (!has_function(btf, "tcp_eat_skb") || !struct_has(btf, "sk_psock", "work", "delayed_work"))
		text_str(why, "the kernel lacks the sock map fixes of 6.4 (stalls, lost last segments); ");
	if (!struct_has(btf, "tcp_sock", "copied_seq", NULL) ||
	    !struct_has(btf, "tcp_sock", "write_seq", NULL) ||
	    !struct_has(btf, "tcp_sock", "bytes_received", NULL) ||
	    !struct_has(btf, "tcp_sock", "rcv_nxt", NULL))
		text_str(why, "struct tcp_sock lacks a member the program reads; ");
	btf__free(btf);
	return why->len == before;
}

struct span probe_reasons(const struct text *why)
{
	struct span reasons = text_span(why);

	return span_ends(reasons, SPAN("; ")) ? span_first(reasons, reasons.len - 2) : reasons;
}

int probe_kernel(struct text *why)
{
	bool is_usable = version_is_usable(probe_judge_version, false, why);

	is_usable = types_are_usable(why) && is_usable;
	return is_usable ? 0 : -EOPNOTSUPP;
}

int probe_local_kernel(bool is_forced, struct text *why)
{
	bool is_usable = version_is_usable(probe_judge_local_version, is_forced, why);
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf) {
		text_str(why, NO_BTF);
		return -EOPNOTSUPP;
	}
	if (!has_function(btf, "tcp_bpf_sendmsg")) {
		text_str(why, "the kernel has no sock maps with sk_msg programs (CONFIG_NET_SOCK_MSG); ");
		is_usable = false;
	}
	/* The function came with the fix that keeps redirected bytes out of the receiver's copied_seq. */
	if (!has_function(btf, "__sk_msg_recvmsg")) {
		text_str(why, "the kernel does not keep the two receive queues of a socket apart; ");
		is_usable = false;
	}
	/* Program local_read is attached to it. */
	if (btf__find_by_name_kind(btf, "btf_trace_sock_recv_length", BTF_KIND_TYPEDEF) <= 0) {
		text_str(why, "the kernel has no trace point sock_recv_length (Linux 6.3); ");
		is_usable = false;
	}
	btf__free(btf);
	return is_usable ? 0 : -EOPNOTSUPP;
}

/* ---------------------------------------------------------------------------------------- capabilities */

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &header, data))
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

int probe_privileges(struct text *why)
{
	uint64_t have = effective_capabilities();
	bool is_missing = false;

	if (have >> CAP_SYS_ADMIN & 1)
		have |= 1ull << CAP_BPF | 1ull << CAP_PERFMON;
	for (size_t i = 0; i < PROBE_CAPABILITIES; i++) {
		if (have >> probe_capabilities[i].number & 1)
			continue;
		text_fmt(why, "%s is missing (%s); ", probe_capabilities[i].name,
			 probe_capabilities[i].needed_for);
		is_missing = true;
	}
	if (!is_missing)
		return 0;
	text_str(why,
		 "start as root or with these capabilities, or load once with `headgate bpf load --pin DIR`");
	return -EPERM;
}
