/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/base/check.h"

#define KEPT (1ull << CAP_NET_BIND_SERVICE)

struct capability_words {
	struct __user_cap_data_struct word[_LINUX_CAPABILITY_U32S_3];
};

static int capabilities_read(struct capability_words *ret_words)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, ret_words->word) < 0 ? -errno : 0;
}

static int capabilities_write(const struct capability_words *words)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, words->word) < 0 ? -errno : 0;
}

int privilege_drop(void)
{
	struct capability_words words;
	int error = capabilities_read(&words);

	if (error)
		return error;
	for (uint32_t i = 0; i < ARRAY_LEN(words.word); i++) {
		uint32_t kept = words.word[i].permitted & (uint32_t)(KEPT >> 32 * i);

		words.word[i] = (struct __user_cap_data_struct){ .permitted = kept, .effective = kept };
	}
	/*
	 * Drop the bounding set first, while CAP_SETPCAP is available; without it, no_new_privs must suffice.
	 */
	for (int number = 0; number <= CAP_LAST_CAP; number++) {
		if (number != CAP_NET_BIND_SERVICE)
			(void)prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return capabilities_write(&words);
}
