/* Listens, and takes a connection only now and then: accept_rarely PORT BACKLOG PAUSE_US */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

	if (argc != 4)
		return 2;
	at.sin_port = htons(atoi(argv[1]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, atoi(argv[2])))
		return 1;
	for (;;) {
		close(accept(listener, 0, 0));
		usleep(atoi(argv[3]));
	}
}
