// nginx with Nchan, its own configuration in the server's directory; never the system's service.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accepts, versionOf } from './debian-peers.ts';
import type { Server, Settings } from './server.ts';

const nchanModule = '/usr/lib/nginx/modules/ngx_nchan_module.so';

const kept = 'nchan_message_buffer_length 100; nchan_message_timeout 1h;';

// By default nothing is kept for late comers, as in a plain channel of the hub. One listening socket for each worker, so that
// connections spread evenly.
function configuration({ port, workers, directory, keepsHistory }: Settings): string {
  return `load_module ${nchanModule};
user root;
daemon off;
worker_processes ${workers};
worker_rlimit_nofile 20000;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 19000; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  nchan_shared_memory_size 512M;
  server {
    listen 127.0.0.1:${port} reuseport backlog=4096;
    location ~ ^/(.+)$ {
      nchan_pubsub websocket;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
      ${keepsHistory ? kept : 'nchan_store_messages off;'}
    }
  }
}
`;
}

export const nchan: Server = {
  name: 'nchan',
  protocol: 'nchan',
  install: 'apt-get install nginx libnginx-mod-nchan',
  version() {
    const nginx = versionOf('nginx', ['-v']);
    return nginx !== null && existsSync(nchanModule) ? `nginx ${nginx} + ${moduleVersion()}` : null;
  },
  launch(settings) {
    const file = join(settings.directory, 'nginx.conf');
    writeFileSync(file, configuration(settings));
    return {
      command: 'nginx',
      args: ['-c', file, '-p', settings.directory, '-e', join(settings.directory, 'error.log')],
      ready: () => accepts(settings.port),
    };
  },
};

function moduleVersion(): string {
  return versionOf('dpkg-query', ['-W', '-f', '${Version}', 'libnginx-mod-nchan']) ?? 'unknown version';
}
