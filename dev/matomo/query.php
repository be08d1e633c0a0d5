<?php

/** Runs an SQL statement on Matomo's database and prints its rows as JSON; both come from the standard input. */

['database' => $database, 'sql' => $sql] = json_decode(stream_get_contents(STDIN), true, 8, JSON_THROW_ON_ERROR);
$server = "mysql:host={$database['host']};port={$database['port']};dbname={$database['name']};charset=utf8mb4";
try {
    $result = (new PDO($server, $database['user'], $database['password']))->query($sql);
    $rows = $result->columnCount() ? $result->fetchAll(PDO::FETCH_ASSOC) : [];
} catch (PDOException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
echo json_encode($rows, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
