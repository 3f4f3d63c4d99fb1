/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/complaint.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/base/log.h"

static _Thread_local char complaint[512];
static libbpf_print_fn_t printer_before;

__attribute__((format(printf, 2, 0)))
static int libbpf_complain(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char line[sizeof(complaint)];

	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	if (level == LIBBPF_WARN && line[0] != '\0')
		memcpy(complaint, line, sizeof(complaint));
	if (level != LIBBPF_DEBUG)
		log_debug("libbpf: %s", line);
	return 0;
}

void complaint_begin(void)
{
	complaint[0] = '\0';
	printer_before = libbpf_set_print(libbpf_complain);
}

void complaint_end(void)
{
	libbpf_set_print(printer_before);
}

void complaint_explain(struct text *why, const char *step, int error)
{
	text_fmt(why, "%s: %s", step, strerror(-error));
	if (error == -EPERM || error == -EACCES)
		text_str(why, "; the process needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON while it loads "
			      "(run as root, "
			      "or load once with `headgate bpf load --pin DIR`)");
	else if (complaint[0] != '\0')
		text_fmt(why, " (%s)", complaint);
}
