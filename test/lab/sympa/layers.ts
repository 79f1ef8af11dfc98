import type { Layer } from '../image.ts'

/** With the database that Sympa is to begin with. */
export const database: Layer = {
  name: 'postgresql',
  packages: ['postgresql'],
  after: `pg_ctlcluster 15 main start
su postgres -c 'psql -q' <<SQL
create role sympa login password 'sympa';
create database sympa owner sympa encoding 'UTF8' template template0;
SQL
pg_ctlcluster 15 main stop`,
}

export const mail: Layer = {
  name: 'postfix',
  packages: ['postfix'],
  answers:
    'postfix postfix/main_mailer_type select Internet Site\npostfix postfix/mailname string mail.lab\n',
}

/** Its installation runs `sympa check`, which wants a database: SQLite for as long as there is no other. */
export const application: Layer = {
  name: 'sympa',
  on: mail,
  packages: ['sympa', 'dbconfig-sqlite3', 'spawn-fcgi', 'libio-socket-ssl-perl', 'locales'],
  answers: `sympa sympa/hostname string lists.lab
sympa sympa/listmaster string root@lists.lab
sympa sympa/dbconfig-install boolean true
sympa sympa/database-type select sqlite3
sympa sympa/use_soap boolean false
sympa wwsympa/webserver_type select Other
sympa wwsympa/fastcgi boolean true
sympa wwsympa/wwsympa_url string http://web/sympa
`,
  before:
    'echo lists.lab > /etc/mailname; [ -f /etc/aliases ] || echo "postmaster: root" > /etc/aliases; newaliases',
  // It is to begin with the database that it is given when the hosts are up.
  after:
    'systemctl --quiet disable sympa sympa-archived sympa-bounced sympa-bulk sympa-task_manager wwsympa wwsympa.socket sympasoap sympasoap.socket',
}

export const web: Layer = { name: 'nginx', packages: ['nginx-light'] }

/** Sympa with an HTTP server beside it that spawns WWSympa itself. */
export const applicationUnderApache: Layer = {
  name: 'apache',
  on: application,
  packages: ['apache2', 'libapache2-mod-fcgid'],
}
