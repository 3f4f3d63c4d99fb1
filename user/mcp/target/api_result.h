/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/* The response of an API, as the result of a tool. */
struct api_response {
	unsigned int status;
	struct span body;
	bool is_object; /* the body is a validated JSON object */
};

/* Appends the members of the result. A status from 300 on is an error; its body is for the client, too. */
void api_result_add(struct text *to, const struct api_response *response);
/* The same for a call that was not sent. */
void api_result_refuse(struct text *to, struct span why);
