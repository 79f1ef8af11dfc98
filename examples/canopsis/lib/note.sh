# `home` is the user's home.

note() { printf '%s  %-20s  %s\n' "$(date +%H:%M:%S.%3N)" "$1" "$2" >>"$home/var/services.log"; }

# Whether something accepts connections where RabbitMQ should.
rabbitmq_is_up() { bash -c "exec 3<>/dev/tcp/127.0.0.1/$amqp_port" 2>/dev/null; }
