# Where the RabbitMQ of the example listens.
amqp_port=5673
distribution_port=25673
epmd_port=4370
