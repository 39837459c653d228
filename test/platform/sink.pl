# Runs a program whose standard output leads to a sink of the named kind. perl-base is in every Debian.
# Usage: perl sink.pl KIND PROGRAM ARGUMENT...
use strict;
use warnings;
use Socket;

$^F = 255;    # the ends that are opened here stay open in the program
my ($kind, @program) = @ARGV;
my $stdout = sub { open(STDOUT, '>&', $_[0]) or die "stdout: $!" };

if ($kind eq 'full') {
    open(STDOUT, '>', '/dev/full') or die $!;
} elsif ($kind eq 'closed pipe' or $kind eq 'unread pipe') {
    pipe(my $read, my $write) or die $!;
    $stdout->($write);
    close $write;
    close $read if $kind eq 'closed pipe';
    exec @program;
} elsif ($kind eq 'unread journal') {
    socketpair(my $read, my $write, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
    $stdout->($write);
    my ($device, $inode) = stat STDOUT;
    $ENV{JOURNAL_STREAM} = "$device:$inode";
    exec @program;
} elsif ($kind eq 'terminal') {
    # The program is a child of this process, which holds the other end of the terminal, reads nothing from it and
    # closes it when its own standard input ends. Ends with the program's exit code.
    my ($unlock, $number) = (pack('i', 0), pack('i', 0));
    open(my $master, '+<', '/dev/ptmx') or die $!;
    ioctl($master, 0x40045431, $unlock) or die $!;    # TIOCSPTLCK
    ioctl($master, 0x80045430, $number) or die $!;    # TIOCGPTN
    my $child = fork();
    if ($child == 0) {
        open(STDOUT, '>', '/dev/pts/' . unpack('i', $number)) or die $!;
        close $master;
        exec @program;
    }
    $SIG{TERM} = sub { kill 'TERM', $child };
    $SIG{HUP} = sub { kill 'HUP', $child };
    $SIG{CHLD} = sub { waitpid($child, 0); exit(($? & 127) ? 128 + ($? & 127) : $? >> 8) };
    1 while sysread(STDIN, my $bytes, 1) // 1;
    close $master;
    sleep while 1;
}
exec @program;
