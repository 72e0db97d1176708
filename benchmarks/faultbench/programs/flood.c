/* Sends datagrams of one size to a port as fast as it can, 32 with each call: flood ADDRESS PORT SIZE */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 32

int main(int argc, char **argv)
{
	static char data[65536];
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct iovec part = {.iov_base = data};
	struct mmsghdr messages[BATCH] = {};
	int out = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 4 || out < 0)
		return 2;
	to.sin_port = htons(atoi(argv[2]));
	part.iov_len = atoi(argv[3]);
	if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	for (int i = 0; i < BATCH; i++)
		messages[i].msg_hdr =
			(struct msghdr){.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &part, .msg_iovlen = 1};
	for (;;)
		sendmmsg(out, messages, BATCH, 0);
}
