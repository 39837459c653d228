# Connects to 127.0.0.1 as fast as it is told to, from ever other addresses of 127/8: asks for an upgrade, reads
# nothing, resets the connection a moment later. Node's own sockets are too slow for it; perl-base is in every Debian.
# Usage: perl connect-flood.pl PORT CONNECTS_PER_SECOND SECONDS SEED; prints the connects made, and the requests sent.
use strict;
use warnings;
use POSIX ();
use Socket qw(:DEFAULT SOCK_NONBLOCK);

my ($port, $rate, $seconds, $seed) = @ARGV;
my $request = "GET /flood HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
my $to      = pack_sockaddr_in($port, inet_aton('127.0.0.1'));
my $reset   = pack('ii', 1, 0);    # struct linger: close() resets
my $kept    = 4_000;               # open at the same time, so that the hub gets to read what they ask
my $ticks   = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my $elapsed = do { my ($from) = POSIX::times(); sub { ((POSIX::times())[0] - $from) / $ticks } };

$SIG{PIPE} = 'IGNORE';
srand $seed;
my ($connects, $sent) = (0, 0);
my @open;
while ((my $now = $elapsed->()) < $seconds) {
    if ($connects >= $rate * ($now + 1 / $ticks)) {
        select undef, undef, undef, 0.002;
        next;
    }
    for (1 .. 20) {
        my $socket;
        while (!socket($socket, PF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
            die "socket: $!" unless @open;
            shift @open;
        }
        setsockopt($socket, SOL_SOCKET, SO_LINGER, $reset);
        my $from = pack('CCCC', 127, 1 + int rand 254, int rand 256, 1 + int rand 254);
        bind($socket, pack_sockaddr_in(0, $from)) or die "bind: $!";
        connect $socket, $to;      # on loopback it is done, or the hub's queue is full
        $connects++;
        $sent++ if syswrite $socket, $request;
        push @open, $socket;
        shift @open if @open > $kept;    # closes it
    }
}
print "$connects $sent\n";
