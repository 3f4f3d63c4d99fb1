/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/lookup.h"

#include <errno.h>
#include <netdb.h>

static int lookup_error(int code)
{
	switch (code) {
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	default:
		return -EIO;
	}
}

const char *lookup_error_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "no such name, or it has no address";
	case EAGAIN:
		return "no name server answered";
	default:
		return strerror(-error);
	}
}

static bool is_listed(const struct address *list, uint32_t count, const struct address *address)
{
	for (uint32_t i = 0; i < count; i++) {
		if (address_eq(&list[i], address))
			return true;
	}
	return false;
}

static uint32_t copy_results(const struct addrinfo *first, struct address *list, uint32_t max)
{
	uint32_t count = 0;

	for (const struct addrinfo *info = first; info && count < max; info = info->ai_next) {
		struct address address = { .len = info->ai_addrlen };

		if ((info->ai_family != AF_INET && info->ai_family != AF_INET6) ||
		    info->ai_addrlen > sizeof(address.v6))
			continue;
		memcpy(&address.any, info->ai_addr, info->ai_addrlen);
		if (!is_listed(list, count, &address))
			list[count++] = address;
	}
	return count;
}

static bool is_localhost(struct span host)
{
	struct span dotted = SPAN(".localhost");

	if (span_ends(host, SPAN(".")))
		host.len--;
	if (span_eq_nocase(host, span_from(dotted, 1)))
		return true;
	return host.len > dotted.len && span_eq_nocase(span_from(host, host.len - dotted.len), dotted);
}

int lookup_system(void *context, const char *host, struct address *list, uint32_t max, uint32_t *ret_count)
{
	static const char *const loopback[] = { "127.0.0.1", "::1" };
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *first = NULL;
	uint32_t count = 0;
	int code;

	(void)context;
	errno = 0;
	code = getaddrinfo(host, NULL, &hints, &first);
	if (code == 0) {
		count = copy_results(first, list, max);
		freeaddrinfo(first);
	}
	if (count == 0 && is_localhost(span_str(host))) {
		while (count < max && count < 2) {
			address_parse_ip(span_str(loopback[count]), 0, &list[count]);
			count++;
		}
	}
	if (count == 0)
		return code ? lookup_error(code) : -ENOENT;
	*ret_count = count;
	return 0;
}
